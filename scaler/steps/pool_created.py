"""Make a pool like another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.model.pools import Operation
from scaler.steps import clouds
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolCreated(Irreversible):
    """There is a pool of that name."""

    title = "Make the pool"
    commits = "the pool was made; scaler pool delete takes it away"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        return [f"make it with everything that pool {plan.wants.pool} has, and {plan.wants.size} nodes"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Make it, unless one of that name is there; never asked twice after an unknown outcome."""
        wants, name = world.plan.wants, hosts[0].name
        spec = wants.spec
        if spec is None:
            raise ScalerError("the plan has no pool to make")

        def there() -> Operation | None:
            pool = clouds.by_name(world, name)
            if pool is None:
                return None
            return Operation(change="create", pool=pool.id, target=spec.size, started=world.clock.now())

        operation = there()
        if operation is None:
            like = clouds.must_find(world, wants.pool)
            clouds.intend(world, f"create {name}")
            operation = clouds.once_surely(world, lambda: world.cloud.create_like(like, spec), there, again=False)
        progress = clouds.watched(world, clouds.asked(world, operation), f"pool {name}")
        world.operation, world.progress = operation, progress
        if progress.state == "failed":
            clouds.must_succeed(progress, operation, f"pool {name}")
        return {}


STEP = PoolCreated()
