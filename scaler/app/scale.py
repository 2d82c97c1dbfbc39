"""Change the size of a pool: more as an absolute number, less by the nodes that leave."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from scaler.app import autoscaling, cloud_removal
from scaler.errors import GuardError, InputError
from scaler.gateways.kube import labelled
from scaler.plan.plan import Drain
from scaler.plan.pool_plan import Verify
from scaler.plan.recipes import pools as recipes
from scaler.steps import pool_counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.cloud_session import CloudSession
    from scaler.model.pools import Instance, Operation, Pool
    from scaler.model.state import Node
    from scaler.plan.pool_plan import Autoscaler, PoolPlan


class How(NamedTuple):
    """What the operator said beside the size.

    ``known`` is whose work an earlier run was to prove, ``there`` the Nodes that the change began with.
    """

    autoscaler: Autoscaler = ""
    rollback: bool = False
    provider_picks: bool = False
    drain: Drain = Drain(ignore_daemonsets=True)
    max_unavailable: int = 1
    verify: bool = False
    known: Verify | None = None
    there: dict[str, str] | None = None


def prepare(
    session: CloudSession,
    ref: str,
    wanted: str,
    how: How,
    *,
    progress: Callable[[str], None],
    begun: Operation | None = None,
) -> PoolPlan:
    """Look at the pool and return the plan that brings it to ``wanted``; nothing is changed."""
    progress(f"reading pool {ref}")
    pool = session.find(ref)
    autoscaling.must_be_there(session, pool, how.autoscaler)
    size = recipes.size_of(pool, wanted)
    recipes.may_have(pool, size, how.autoscaler, going=pool.target == size)
    instances = session.cloud.instances(pool)
    nodes = labelled(session.kube, pool.label, pool.value)
    if how.verify and size < sum(each.state != "leaving" for each in instances):
        raise InputError(f"--verify proves nodes that come, and of pool {pool.name} some go", hint="leave it out")
    if size < pool.target and not how.provider_picks and "remove-instances" in session.cloud.offers:
        leaving = picked(pool, instances, nodes, size)
        if leaving:
            return cloud_removal.plan_for(session, pool, leaving, how.drain, how.max_unavailable, how.autoscaler)
    now = pool_counted.there(instances, nodes)
    there = now if how.there is None else how.there
    # Nodes that came since an earlier run was killed are still to be counted.
    settled = pool.target == size and pool.state != "changing" and _all_ready(instances, nodes, size) and there == now
    plan = recipes.grow(
        session.name,
        pool,
        size,
        autoscaler=how.autoscaler,
        rollback=how.rollback,
        begun=begun,
        settled=settled,
        verify=(how.known or _verify(nodes, size)) if how.verify else None,
    )
    plan = autoscaling.told(session, [pool], plan.since(there))
    # What fails its checks is emptied before it is given back.
    return plan.model_copy(update={"drain": how.drain}) if how.verify and how.rollback else plan


def picked(pool: Pool, instances: Sequence[Instance], nodes: Sequence[Node], size: int) -> dict[str, Instance]:
    """Return the machines that leave, by their Nodes: what never came up first, then what is not well, then the newest.

    Of zones that have as many nodes each, the fullest one gives first.
    Empty where fewer are there than are asked for: then only the number is too high.
    """
    there = [each for each in instances if each.state != "leaving"]
    if len(there) <= size:
        return {}
    if len(there) != pool.target:
        raise GuardError(
            f"pool {pool.name} is asked to have {pool.target} machines and has {len(there)}: which leave is not clear",
            hint=f"scaler remove-node NODE... names them, or say --provider-picks; or --to {len(there)} first",
        )
    node_of = {each.id: next((n for n in nodes if each.is_node(n.name, n.spec.provider_id)), None) for each in there}

    def rank(instance: Instance) -> tuple[bool, bool, bool, float]:
        node = node_of[instance.id]
        made = node.metadata.created.timestamp() if node and node.metadata.created else 0.0
        return (
            instance.state == "running",
            bool(node and node.ready),
            bool(node and not node.spec.unschedulable),
            -made,
        )

    left = sorted(there, key=rank)
    chosen: list[Instance] = []
    while len(left) > size:
        zones = Counter(each.zone for each in left) if pool.per_zone else Counter[str]()
        fullest = max(zones.values(), default=0)
        chosen.append(next(each for each in left if zones[each.zone] == fullest))
        left.remove(chosen[-1])
    return {(node.name if (node := node_of[each.id]) else each.id): each for each in chosen}


def _verify(nodes: Sequence[Node], size: int) -> Verify:
    """Say whose work is proven where a pool comes to ``size``: that of its new nodes, or of all where none comes."""
    ready = tuple(sorted(node.metadata.uid for node in nodes if node.ready))
    return Verify(which="new", before=ready) if size > len(ready) else Verify(which="all")


def _all_ready(instances: Sequence[Instance], nodes: Sequence[Node], size: int) -> bool:
    ready = [
        each
        for each in instances
        if each.state == "running" and any(n.ready and each.is_node(n.name, n.spec.provider_id) for n in nodes)
    ]
    return len(ready) == len(instances) == size
