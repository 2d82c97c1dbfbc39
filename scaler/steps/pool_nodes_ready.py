"""Wait until the pool's machines are there and their Nodes Ready: before that a size is only a wish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import CloudError, StillGoingError
from scaler.gateways import kube
from scaler.gateways.clock import wait_until
from scaler.steps import clouds, pool_counted
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.pools import Instance, Pool
    from scaler.model.state import Node
    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolNodesReady(Irreversible):
    """As many of the pool's machines as were asked for run, each with a Node that is Ready."""

    title = "Wait for the nodes"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        return [f"wait until {plan.wants.size} machines run and their nodes are Ready"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Look, again and again; where the cloud has given up on some, say which and why."""
        name, size = hosts[0].name, world.plan.wants.size or 0
        look = _Look(world, clouds.of_plan(world))
        try:
            settled = wait_until(world.clock, look.settled, timeout=world.wait_seconds, every=world.poll_seconds)
        finally:
            # What has come by now has come, whatever keeps the rest.
            look.count()
        if not settled:
            raise StillGoingError(
                f"pool {name}: asked for {size}, {len(look.ready)} are Ready after {world.wait_seconds:g} s"
                f"{look.missing()}",
                hint=clouds.RESUME,
                **clouds.handles(world.operation),
            )
        if len(look.ready) >= size:
            return {}
        arrived = len(look.ready) - (world.plan.wants.before or 0)
        told = f"pool {name}: asked for {size}, got {len(look.ready)}{look.missing()}"
        if arrived > 0:
            unproven = ", and was not proven" if world.plan.wants.verify else ""
            raise clouds.partial(
                told,
                f"what arrived stands{unproven}; scaler runs resume asks what has become of the rest",
                world.operation,
            )
        raise clouds.cause_of(world.progress, CloudError)(told, **clouds.handles(world.operation))


class _Look:
    """What the last look saw."""

    def __init__(self, world: CloudWorld, pool: Pool) -> None:
        self._world, self._pool = world, pool
        self.ready: list[Instance] = []
        self._instances: tuple[Instance, ...] = ()
        self._nodes: list[Node] = []
        self._looked = False

    def settled(self) -> bool:
        """Look once; tell whether nothing more will come by itself."""
        world, size = self._world, self._world.plan.wants.size or 0
        self._pool = clouds.must_find(world, self._pool.id)
        self._instances = world.cloud.instances(self._pool)
        self._nodes = kube.labelled(world.kube, self._pool.label, self._pool.value)
        self._looked = True
        running = self._in_state("running")
        self.ready = [each for each in running if any(node.ready and _is(each, node) for node in self._nodes)]
        world.say(f"{len(self.ready)} of {size} Ready")
        if self._in_state("starting") or self._in_state("leaving"):
            return False
        if len(self.ready) == len(running) >= size:
            return True
        # The cloud said that it gave up, or shows the machines that it gave up on.
        given_up = world.progress.state in {"partial", "failed"} or len(running) + len(self._in_state("failed")) >= size
        return given_up and len(self.ready) == len(running)

    def count(self) -> None:
        """Tell which nodes came and went, as of the last look; one that leaves is still there."""
        if self._looked:
            ready = pool_counted.uids(self.ready, [node for node in self._nodes if node.ready])
            pool_counted.count(self._world, ready, pool_counted.uids(self._instances, self._nodes))

    def missing(self) -> str:
        """Say what is missing, machine by machine, and with which codes the cloud gave up."""
        ready = {each.id for each in self.ready}
        said = [self._why_not(each) for each in self._instances if each.id not in ready and each.state != "leaving"]
        troubles = self._world.progress.troubles
        if any(each.reason for each in self._instances):
            # Some clouds tell the reason of a machine in words, and its code only of the operation.
            told = clouds.reasons(each for each in troubles if each.code and each.code not in "".join(said))
        else:
            told = clouds.reasons(troubles) or clouds.reasons(self._pool.troubles)
        return "".join(f"\n{line}" for line in [*said, *filter(None, [told])])

    def _why_not(self, instance: Instance) -> str:
        if instance.state != "running":
            why = instance.reason.sentence if instance.reason else ""
            return f"{instance.id}: {instance.state}" + (f": {why}" if why else "")
        node = next((node for node in self._nodes if _is(instance, node)), None)
        return f"{instance.id} runs; " + (f"{node.name}: {node.why_not_ready}" if node else "it has no Node")

    def _in_state(self, state: str) -> list[Instance]:
        return [each for each in self._instances if each.state == state]


def _is(instance: Instance, node: Node) -> bool:
    return instance.is_node(node.name, node.spec.provider_id)


STEP = PoolNodesReady()
