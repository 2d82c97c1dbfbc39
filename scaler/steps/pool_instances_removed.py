"""End the machines behind the Nodes, these and no others, and let the pool's size go down with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import AmbiguousError
from scaler.gateways.kube import nodes
from scaler.model.pools import Operation
from scaler.steps import clouds
from scaler.steps.leaving import is_same
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.pools import Instance, Pool
    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolInstancesRemoved(Irreversible):
    """The machines are gone, their Nodes too, and each pool has the size of what is left."""

    title = "End the machines"
    commits = "the cloud was asked to end its machine; the removal can only be finished"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        machines = [f"{name} is {machine.instance}" for name, machine in plan.wants.machines.items()]
        sizes = [f"pool {pool} has {size} nodes then" for pool, size in plan.wants.sizes.items()]
        return ["end its machine for good", *machines, *sizes]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """End them, pool by pool; what is gone already is no error."""
        failures: Failures = {}
        machines = world.plan.wants.machines
        for pool_id in dict.fromkeys(machines[host.name].pool for host in hosts):
            theirs = {machines[h.name].instance: h.name for h in hosts if machines[h.name].pool == pool_id}
            failures |= self.end(world, clouds.must_find(world, pool_id), theirs)
        gone = [host.name for host in hosts if host.name not in failures]
        # The cloud's controller deletes Nodes without a machine too, some minutes later.
        left = [node.name for node in nodes(world.kube, gone) if is_same(world.plan, node)] if gone else []
        world.kube.delete("nodes", left)
        return failures

    def end(self, world: CloudWorld, pool: Pool, machines: Mapping[str, str]) -> Failures:
        """End ``machines``, which are Nodes' names by instance, and let the size go down with them."""
        there = [each for each in world.cloud.instances(pool) if each.id in machines]
        going = [each for each in there if each.state != "leaving"]
        operation = self._asked(world, pool, going)
        if operation is None and there:
            operation = self._lost(world, pool, [each.id for each in there])
        failures: Failures = {}
        if operation is not None:
            progress = clouds.watched(world, clouds.asked(world, operation), f"pool {pool.name}")
            refused = {t.what: t.sentence for t in (*operation.troubles, *progress.troubles) if t.what in machines}
            failures = {machines[instance]: why for instance, why in refused.items()}
            if not refused:
                clouds.must_succeed(progress, operation, f"pool {pool.name}")
        ended = sum(each.id in machines and machines[each.id] not in failures for each in going)
        self._lower(world, pool, pool.target - ended)
        return failures

    def _asked(self, world: CloudWorld, pool: Pool, going: Sequence[Instance]) -> Operation | None:
        if not going:
            return None
        names = [each.id for each in going]
        clouds.intend(world, f"remove-instances {pool.id} {' '.join(names)}")
        try:
            return world.cloud.remove_instances(pool, going)
        except AmbiguousError as e:
            # Never asked twice: a machine that is still there may be the next one's by then.
            now = clouds.must_find(world, pool.id)
            seen = {each.id: each.state for each in world.cloud.instances(now)}
            still = [name for name in names if seen.get(name, "leaving") != "leaving"]
            at_work = now.state == "changing" or now.target <= pool.target - len(names)
            if still and not at_work:
                raise AmbiguousError(
                    f"{e.message}; still there: {', '.join(still)}", hint="run the same command again"
                ) from e
            return self._lost(world, pool, names)

    def _lost(self, world: CloudWorld, pool: Pool, names: Sequence[str]) -> Operation:
        """Return an operation for machines that end by a request whose answer nobody has."""
        return Operation(change="remove-instances", pool=pool.id, instances=tuple(names), started=world.clock.now())

    def _lower(self, world: CloudWorld, pool: Pool, size: int) -> None:
        """Ask for ``size`` where the removal has not lowered it, so that nothing starts in their place."""
        now = clouds.must_find(world, pool.id)
        if now.target <= size:
            return
        clouds.intend(world, f"set-size {pool.id} {size}")
        operation = clouds.asked(world, world.cloud.set_size(now, size))
        what = f"pool {pool.name} to {size}"
        clouds.must_succeed(clouds.watched(world, operation, what), operation, what)


STEP = PoolInstancesRemoved()
