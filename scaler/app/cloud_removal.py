"""Take nodes of a managed cluster away: find the machines behind them, and tell what every pod loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import autoscaling
from scaler.app.cloud_session import api_version
from scaler.app.moving import may_move, pods_of
from scaler.errors import InputError
from scaler.gateways import kube
from scaler.model.inventory import Subject
from scaler.model.state import ClusterState
from scaler.plan.plan import Seen
from scaler.plan.pool_plan import Machine
from scaler.plan.recipes import pools as recipes
from scaler.plan.recipes.pools import Going

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scaler.app.cloud_session import CloudSession
    from scaler.model.pools import Instance, Pool
    from scaler.model.state import Node
    from scaler.plan.plan import Drain
    from scaler.plan.pods import Leaving
    from scaler.plan.pool_plan import Autoscaler, PoolPlan


def prepare(
    session: CloudSession,
    names: Sequence[str],
    drain: Drain,
    *,
    max_unavailable: int,
    autoscaler: Autoscaler = "",
    progress: Callable[[str], None],
    known: Mapping[str, Machine] | None = None,
) -> PoolPlan:
    """Find the machines of the Nodes called ``names`` and return the plan that ends them; nothing is changed.

    ``known`` are machines that an earlier run found: their Nodes may be gone by now.
    """
    session.must_offer("remove-instances", "ending given nodes")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is given twice")
    progress(f"reading cluster {session.name}")
    state = look(session)
    pools = {pool.id: pool for pool in session.cloud.pools()}
    found: dict[str, Machine] = {}
    instances: dict[str, tuple[Instance, ...]] = {}
    for name in names:
        machine = _machine(session, state.node(name), name, pools, instances, known or {})
        if machine is not None:
            found[name] = machine
    absent = tuple(name for name in names if name not in found)
    if known is None:
        for pool in {machine.pool for machine in found.values()}:
            recipes.must_be_idle(pools[pool])
    return _plan(session, found, pools, state, drain, max_unavailable, autoscaler, absent)


def plan_for(
    session: CloudSession,
    pool: Pool,
    leaving: Mapping[str, Instance],
    drain: Drain,
    max_unavailable: int,
    autoscaler: Autoscaler,
) -> PoolPlan:
    """Return the plan that ends machines of ``pool`` that were chosen already, by their Nodes' names."""
    machines = {name: Machine(pool=pool.id, instance=instance.id) for name, instance in leaving.items()}
    return _plan(session, machines, {pool.id: pool}, look(session), drain, max_unavailable, autoscaler, ())


def look(session: CloudSession) -> ClusterState:
    """Read the Nodes."""
    return ClusterState(server_version=api_version(session.kube), nodes=tuple(kube.nodes(session.kube)))


def seen_and_pods(
    session: CloudSession, state: ClusterState, names: Sequence[str], drain: Drain
) -> tuple[dict[str, Seen], tuple[Leaving, ...]]:
    """Return how the Nodes of ``names`` are seen, and their pods; refuse what a pod would lose."""
    there = [node for name in names if (node := state.node(name))]
    pods = pods_of(session, state, [Subject(name=node.name) for node in there])
    may_move(pods, drain)
    # No machine ID: a Node of the same name on another machine must not be taken for this one.
    return {node.name: Seen(uid=node.metadata.uid) for node in there}, pods


def _machine(
    session: CloudSession,
    node: Node | None,
    name: str,
    pools: Mapping[str, Pool],
    instances: dict[str, tuple[Instance, ...]],
    known: Mapping[str, Machine],
) -> Machine | None:
    """Return the machine behind a Node, None where both are gone."""

    def of(pool: Pool) -> tuple[Instance, ...]:
        if pool.id not in instances:
            instances[pool.id] = session.cloud.instances(pool)
        return instances[pool.id]

    if node is None:
        machine = known.get(name)
        pool = pools.get(machine.pool) if machine else None
        there = machine and pool and any(each.id == machine.instance for each in of(pool))
        return machine if there else None
    pool = next((p for p in pools.values() if node.metadata.labels.get(p.label) == p.value), None)
    if pool is None:
        raise InputError(
            f"{name} is a node of no pool of this cluster", hint=f"pools: {', '.join(p.name for p in pools.values())}"
        )
    instance = next((each for each in of(pool) if each.is_node(node.name, node.spec.provider_id)), None)
    # A Node whose machine is gone is only deleted.
    return Machine(pool=pool.id, instance=instance.id if instance else "")


def _plan(
    session: CloudSession,
    machines: Mapping[str, Machine],
    pools: Mapping[str, Pool],
    state: ClusterState,
    drain: Drain,
    max_unavailable: int,
    autoscaler: Autoscaler,
    absent: tuple[str, ...],
) -> PoolPlan:
    theirs = {machine.pool: pools[machine.pool] for machine in machines.values()}
    seen, pods = seen_and_pods(session, state, list(machines), drain)
    left = [node for node in state.nodes if node.takes_pods and node.name not in machines]
    warnings = () if left or not machines else ("no node is left that takes pods: what moves off waits for one",)
    going = Going(machines, theirs, seen, pods, absent, warnings)
    for pool_id, size in going.sizes().items():
        autoscaling.must_be_there(session, theirs[pool_id], autoscaler)
        recipes.may_lose(theirs[pool_id], size, autoscaler)
    plan = recipes.shrink(session.name, going, drain, max_unavailable=max_unavailable, autoscaler=autoscaler)
    return autoscaling.told(session, theirs.values(), plan)
