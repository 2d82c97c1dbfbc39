"""Prove that work runs on a pool's nodes: the checks that a host of a binary cluster passes when it joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import PartialError, ScalerError, StepError
from scaler.gateways import kube
from scaler.steps import clouds, pool_counted, proof
from scaler.steps.nodes_drained import drained
from scaler.steps.pool_instances_removed import STEP as REMOVAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.clouds import ManagedCluster
    from scaler.model.state import Node
    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class PoolNodesVerified:
    """Each node that came, or each of the pool where none did, has run a pod that answered every check."""

    title = "Prove that work runs"
    commits = ""

    def describe(self, plan: PoolPlan, settings: ManagedCluster) -> Sequence[str]:
        """Tell what the step will do."""
        which = "each node of it" if _all(plan) else "each of its new nodes"
        return [f"on {which}: {proof.described(settings.verify_image)}"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Start one pod a node and some on other nodes of the cluster, and run all checks."""
        name = hosts[0].name
        chosen = {node.name: node for node in _machines(world).values() if node.metadata.uid not in _before(world)}
        if not chosen:
            return {}
        there = kube.nodes(world.kube)
        # Masters, and nodes that are no machines, are tainted: a pod is less likely to start there.
        peers = proof.peers_of(list(chosen), there, last=[node.name for node in there if not node.takes_pods])
        try:
            failed = proof.proven(world, list(chosen), peers, world.cluster.settings.verify_image)
        except ScalerError as e:
            raise PartialError(
                f"pool {name}: its nodes are Ready, and whether work runs on them could not be proven: {e.message}",
                hint="they stay, and take pods; scaler runs resume proves them again",
            ) from e
        if not failed:
            return {}
        world.unproven = [chosen[each] for each in failed]
        told = "".join(f"\n{each}: {why}" for each, why in failed.items())
        raise PartialError(
            f"pool {name}: {len(failed)} of {len(chosen)} nodes failed the checks of a join{told}",
            hint=_next(world.plan, list(failed)),
        )

    def undo(self, world: CloudWorld, host: Unit) -> None:
        """End the new nodes that failed, these and no others, and let the size go back with them."""
        proof.clean_up(world)
        if _all(world.plan) or not world.unproven:
            return
        nodes = {node.name: node for node in world.unproven}
        machines = {instance: node.name for instance, node in _machines(world).items() if _same(nodes, node)}
        names = list(machines.values())
        if not names:
            return
        world.say(f"pool {host.name} gives back {', '.join(names)}")
        # The cloud has opened them, so pods of others may be there.
        world.kube.call(["cordon", *names])
        kept = drained(world, names)
        if kept:
            raise StepError("; ".join(f"{name}: {why}" for name, why in kept.items()))
        failures = REMOVAL.end(world, clouds.of_plan(world), machines)
        pool_counted.ended(world, set(names) - set(failures))
        left = [node.name for node in kube.nodes(world.kube, names) if node.name not in failures and _same(nodes, node)]
        world.kube.delete("nodes", left)
        if failures:
            raise StepError("; ".join(f"{name}: {why}" for name, why in failures.items()))


def _all(plan: PoolPlan) -> bool:
    return plan.wants.verify is not None and plan.wants.verify.which == "all"


def _before(world: CloudWorld) -> Sequence[str]:
    return world.plan.wants.verify.before if world.plan.wants.verify else ()


def _same(known: Mapping[str, Node], node: Node) -> bool:
    return node.name in known and known[node.name].metadata.uid == node.metadata.uid


def _machines(world: CloudWorld) -> dict[str, Node]:
    """Return the pool's Nodes by the machine that runs behind each."""
    pool = clouds.of_plan(world)
    running = [each for each in world.cloud.instances(pool) if each.state == "running"]
    found = kube.labelled(world.kube, pool.label, pool.value)
    pairs = ((each.id, next((n for n in found if each.is_node(n.name, n.spec.provider_id)), None)) for each in running)
    return {machine: node for machine, node in pairs if node is not None}


def _next(plan: PoolPlan, names: Sequence[str]) -> str:
    if plan.on_failure == "undo" and not _all(plan):
        return "the new nodes that failed are emptied and ended; the others stay"
    return (
        f"they stay, and take pods; scaler runs resume proves them again, scaler remove-node {' '.join(names)} "
        "takes them away"
    )


STEP = PoolNodesVerified()
