"""Ask the cloud for a size, as an absolute number, and wait until it says that it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import CloudError, ConflictError
from scaler.plan.recipes import pools as recipes
from scaler.steps import clouds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.pools import Operation, Pool
    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolSized:
    """The pool's target is the wanted size; what of it was not to be had is the next step's to judge."""

    title = "Ask for the size"
    commits = ""

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        wants = plan.wants
        if wants.before == wants.size:
            return [f"{wants.size} nodes were asked for already; wait until the cloud is done"]
        return [f"ask for {wants.size} nodes in place of {wants.before}, and wait until the cloud is done"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Ask, unless that was asked for already; a target that somebody else changed meanwhile is left alone."""
        del hosts
        wants, name = world.plan.wants, world.plan.hosts[0].name
        size = wants.size or 0
        operation = self._begun(world) or self._ask(world, clouds.must_find(world, wants.pool), size)
        progress = clouds.watched(world, clouds.asked(world, operation), f"pool {name} to {size}")
        world.operation, world.progress = operation, progress
        pool = clouds.must_find(world, wants.pool)
        if pool.target != size and wants.autoscaler != "keep" and progress.state == "done":
            raise ConflictError(f"pool {name}: {size} nodes were asked for, and somebody asked for {pool.target} since")
        return {}

    def undo(self, world: CloudWorld, host: Unit) -> None:
        """Ask for what arrived, which is what was there where nothing did: nothing more comes, and nothing goes.

        A pool that has as many nodes in each zone gets the least that ends none; raises CloudError where that is what
        was asked for.
        """
        wants = world.plan.wants
        pool = clouds.must_find(world, wants.pool)
        if pool.target != wants.size:
            # It was never asked for, or somebody asked for another one since.
            return
        alive = [each for each in world.cloud.instances(pool) if each.state in {"running", "starting"}]
        arrived = max(len(alive), wants.had or 0)
        if arrived >= pool.target:
            return
        size = recipes.room_for(pool, arrived, [each.zone for each in alive])
        if size >= pool.target:
            raise CloudError(
                f"{len(alive)} arrived, and fewer than {size} in {len(pool.zones)} zones with as many nodes in each "
                f"would end some of them: {pool.target} stay asked for"
            )
        what = f"pool {host.name} back to {size}"
        world.say(what)
        operation = clouds.asked(world, clouds.sized_surely(world, pool, size))
        clouds.must_succeed(clouds.watched(world, operation, what), operation, what)

    def _begun(self, world: CloudWorld) -> Operation | None:
        """Return the operation of the earlier run that this one goes on with, where it is still what is wanted."""
        wants = world.plan.wants
        if wants.begun is None or clouds.must_find(world, wants.pool).target != wants.size:
            return None
        return wants.begun

    def _ask(self, world: CloudWorld, pool: Pool, size: int) -> Operation:
        if pool.target == size:
            return clouds.as_wanted(world, pool, size)
        wants = world.plan.wants
        if pool.target != wants.before and wants.autoscaler != "keep":
            raise ConflictError(
                f"pool {pool.name} had {wants.before} nodes when this was planned, and {pool.target} now",
                hint="somebody changed it meanwhile; look, and run the same command again",
            )
        clouds.intend(world, f"set-size {pool.id} {size}")
        return clouds.sized_surely(world, pool, size)


STEP = PoolSized()
