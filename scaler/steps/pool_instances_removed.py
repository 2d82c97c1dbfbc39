"""End the machines behind the Nodes, these and no others, and let the pool's size go down with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import AmbiguousError, ConflictError, StepError
from scaler.gateways.kube import nodes
from scaler.model.pools import Operation
from scaler.steps import clouds
from scaler.steps.leaving import is_same

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.pools import Instance, Pool
    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolInstancesRemoved:
    """The machines are gone, their Nodes too, and each pool has the size of what is left."""

    title = "End the machines"
    commits = "the cloud was asked to end its machine; the removal can only be finished"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        machines = [f"{name}: {m.instance or 'its machine is gone'}" for name, m in plan.wants.machines.items()]
        sizes = [f"the size of pool {pool} is {size} then" for pool, size in plan.wants.sizes.items()]
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

    def undo(self, world: CloudWorld, host: Unit) -> None:
        """Let the Node be opened where the cloud refused; raises StepError where its machine ends, or may do so."""
        if host.name in world.ending:
            raise StepError("the cloud was asked to end its machine, and may be at it")

    def end(self, world: CloudWorld, pool: Pool, machines: Mapping[str, str]) -> Failures:
        """End ``machines``, which are Nodes' names by instance, and let the size go down with them."""
        there = [each for each in world.cloud.instances(pool) if each.id in machines]
        going = [each for each in there if each.state != "leaving"]
        names = {machines[each.id] for each in there}
        try:
            operation = self._asked(world, pool, going)
        except AmbiguousError:
            world.ending |= names
            raise
        if operation is None and there:
            operation = self._lost(world, pool, [each.id for each in there])
        failures: Failures = {}
        if operation is not None:
            world.ending |= names
            progress = clouds.watched(world, clouds.asked(world, operation), f"pool {pool.name}")
            refused = {t.what: t.sentence for t in (*operation.troubles, *progress.troubles) if t.what in machines}
            failures = {machines[instance]: why for instance, why in refused.items()}
            unknown = {t.what for t in operation.troubles if t.code == AmbiguousError.kind}
            world.ending -= {machines[instance] for instance in refused if instance not in unknown}
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
        """Ask for ``size`` where the removal has not lowered it, so that nothing starts in their place.

        Raises ConflictError where something has started there: the cloud would choose which machine ends instead.
        """
        now = clouds.must_find(world, pool.id)
        if not size < now.target <= pool.target:
            # Lowered, or somebody asked for more meanwhile.
            return
        alive = sum(each.state in {"running", "starting"} for each in world.cloud.instances(now))
        if alive > size:
            if world.plan.wants.autoscaler == "keep":
                return
            raise ConflictError(
                f"pool {pool.name}: the machines are gone, and others start in their place: {now.target} are asked for",
                hint=f"scaler scale --pool {pool.name} --to {size} takes away what came last",
            )
        clouds.intend(world, f"set-size {pool.id} {size}")
        operation = clouds.asked(world, clouds.sized_surely(world, now, size))
        what = f"pool {pool.name} to {size}"
        clouds.must_succeed(clouds.watched(world, operation, what), operation, what)


STEP = PoolInstancesRemoved()
