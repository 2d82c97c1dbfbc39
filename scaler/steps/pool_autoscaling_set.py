"""Set between which sizes an autoscaler moves a pool, or that none does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.model.pools import Autoscaling, Operation
from scaler.steps import clouds
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolAutoscalingSet(Irreversible):
    """The pool has these bounds, and its autoscaler is on or off."""

    title = "Set the bounds"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        wanted = plan.wants.autoscaling
        if wanted is None:
            return []
        bounds = f"between {wanted.min} and {wanted.max} nodes"
        if wanted.on:
            return [f"{bounds}, autoscaler on"]
        if plan.wants.autoscaler == "disable":
            return [f"autoscaler off; {bounds}, where the cloud has bounds then"]
        return [f"{bounds}; whether an autoscaler moves it is not this cloud's to say"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Set them, unless they are so."""
        del hosts
        wants = world.plan.wants
        if wants.autoscaling is None:
            raise ScalerError("the plan has no bounds")
        pool = clouds.must_find(world, wants.pool)
        wanted, what = wants.autoscaling, f"bounds of pool {pool.name}"
        if world.plan.leaves and wanted.on:
            # Some may have stayed, or come: pinned is what is there, since bounds below it would end machines.
            wanted = Autoscaling(on=True, min=pool.target, max=pool.target)
        if pool.has(wanted):
            return {}

        def done() -> Operation | None:
            now = clouds.must_find(world, wants.pool)
            lost = Operation(change="set-autoscaling", pool=pool.id, started=world.clock.now())
            return lost if now.has(wanted) else None

        clouds.intend(world, f"set-autoscaling {pool.id} {wanted.min} {wanted.max} {wanted.on}")
        operation = clouds.once_surely(world, lambda: world.cloud.set_autoscaling(pool, wanted), done, again=True)
        clouds.must_succeed(clouds.watched(world, clouds.asked(world, operation), what), operation, what)
        return {}


STEP = PoolAutoscalingSet()
