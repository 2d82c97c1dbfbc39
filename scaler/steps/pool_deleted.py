"""Delete a pool, and with it its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import AmbiguousError, StepError
from scaler.model.pools import Operation
from scaler.steps import clouds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolDeleted:
    """The cloud has no such pool any more."""

    title = "Delete the pool"
    commits = "the cloud was asked to delete it; that can only be finished"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        return [f"delete it with its {plan.wants.before} machines"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Delete it; one that is gone already is no error."""
        pool = world.cloud.pool(world.plan.wants.pool)
        if pool is None:
            return {}
        what = f"pool {pool.name}"
        lost = Operation(change="delete", pool=pool.id, target=0, started=world.clock.now())

        def done() -> Operation | None:
            now = world.cloud.pool(pool.id)
            return lost if now is None or now.state == "deleting" else None

        clouds.intend(world, f"delete {pool.id}")
        try:
            operation = done() or clouds.once_surely(world, lambda: world.cloud.delete(pool), done, again=True)
        except AmbiguousError:
            self._keep_closed(world, hosts)
            raise
        self._keep_closed(world, hosts)
        clouds.must_succeed(clouds.watched(world, clouds.asked(world, operation), what), operation, what)
        return {}

    def undo(self, world: CloudWorld, host: Unit) -> None:
        """Let its Nodes be opened where the cloud refused; raises StepError where their machines end, or may do so."""
        if host.name in world.ending:
            raise StepError("the cloud was asked to delete its pool, and may be at it")

    def _keep_closed(self, world: CloudWorld, hosts: Sequence[Unit]) -> None:
        world.ending |= {host.name for host in hosts}


STEP = PoolDeleted()
