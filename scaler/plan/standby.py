"""Who comes from standby and who goes back: failure domains spread, the healthiest first, and always the same ones."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from scaler.errors import GuardError, InputError
from scaler.model.base import Value
from scaler.model.machine_pools import MachinePool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import ClusterState, Node


class Sizing(Value):
    """What a plan that adds or removes workers was asked for, by a number and not by names.

    ``pool`` is None for all workers. ``before`` is how many there were, ``wanted`` how many there are to be, ``short``
    how many of those the plan does not bring. ``passed_over`` are hosts on standby that could not be taken, and why.
    """

    pool: str | None = None
    before: int
    wanted: int
    short: int = 0
    passed_over: dict[str, str] = Field(default={})

    @property
    def told(self) -> str:
        """Tell a person whose size it is."""
        return whose(self.pool)


class Candidate(NamedTuple):
    """A host on standby as it was seen: ``unfit`` says why it cannot be taken, ``doubts`` are its warnings.

    ``begun`` tells that an earlier run has begun with it: it is finished before another one is begun.
    """

    host: Host
    unfit: str = ""
    doubts: int = 0
    begun: bool = False


class Picked(NamedTuple):
    """The hosts that come, and those that were passed over and why."""

    hosts: tuple[Host, ...]
    passed_over: dict[str, str]


def whose(pool: str | None) -> str:
    """Tell a person whose workers are meant."""
    return f"pool {pool}" if pool else "the cluster"


def size_of(wanted: str, before: int, pool: str | None) -> int:
    """Return the absolute size that ``10``, ``+3`` or ``-2`` means; raises InputError where it is none."""
    option = "--to" if pool else "--workers"
    said = re.fullmatch(r"([+-]?)([0-9]{1,6})", wanted)
    if not said:
        raise InputError(f"{option} {wanted}: not a size", hint="10, +3 or -2")
    number = int(said[2])
    size = {"+": before + number, "-": before - number}.get(said[1], number)
    if size < 0:
        raise InputError(f"{option} {wanted}: {whose(pool)} has {before} workers")
    return size


def may_have(pools: Mapping[str, MachinePool], pool: str | None, size: int, before: int) -> None:
    """Refuse a size beyond the pool's bounds; of all workers each pool's own bounds count, when hosts are picked."""
    if pool is None:
        return
    of = pools[pool]
    # One that is beyond its bounds already may come nearer to them.
    for which, bound, over in (
        ("max", of.max, size > max(before, of.max if of.max is not None else size)),
        ("min", of.min, size < min(before, of.min)),
    ):
        if over:
            raise GuardError(
                f"pool {pool} has {which} {bound}, {size} was asked for",
                hint=f"ask for {bound}, or set {which} of pool {pool} in the inventory",
            )


def present(cluster: Cluster, state: ClusterState, pool: str | None) -> tuple[Host, ...]:
    """Return the workers of ``pool``, or all, that have a Node: those are what a size counts."""
    return tuple(host for host in cluster.working(pool) if state.node(host.name) is not None)


def pick(
    candidates: Iterable[Candidate], there: Iterable[Host], pools: Mapping[str, MachinePool], count: int
) -> Picked:
    """Choose ``count`` of ``candidates`` for a cluster that has the workers ``there``, or as many as are fit.

    Each comes from the failure domain that has the fewest workers by then; of one domain first what an earlier run has
    begun, then the one with the fewest doubts, then by name. A pool gets no more than its max.
    """
    there, candidates = tuple(there), tuple(candidates)
    domains, sizes = Counter(h.failure_domain for h in there), Counter(h.pool for h in there)
    passed_over = {each.host.name: each.unfit for each in candidates if each.unfit}
    left = sorted((each for each in candidates if not each.unfit), key=lambda each: natural(each.host.name))
    chosen: list[Host] = []

    def rank(each: Candidate) -> tuple[bool, int, int]:
        return not each.begun, domains[each.host.failure_domain], each.doubts

    while len(chosen) < count and left:
        best = min(left, key=rank)
        left.remove(best)
        most = pools.get(best.host.pool or "", MachinePool()).max
        if most is not None and sizes[best.host.pool] >= most:
            passed_over[best.host.name] = f"pool {best.host.pool} has max {most}"
            continue
        chosen.append(best.host)
        domains[best.host.failure_domain] += 1
        sizes[best.host.pool] += 1
    return Picked(tuple(chosen), passed_over)


def leave(
    cluster: Cluster, state: ClusterState, pools: Mapping[str, MachinePool], pool: str | None, count: int
) -> Picked:
    """Choose ``count`` workers of ``pool``, or of all, that leave, or as many as may; passed over are those that stay.

    First those that are not Ready, then those that are closed (cordoned); of each kind from the failure domain that has
    the most workers by then, and there the newest. No pool goes below its min.
    """
    there = present(cluster, state, pool)
    # Whoever is a load balancer too is no machine that waits for work.
    busy = {host.name for group in (cluster.etcd, cluster.loadbalancers) for host in group}
    passed_over = {host.name: "it has another duty in the inventory too" for host in there if host.name in busy}
    nodes = {host.name: state.node(host.name) for host in there}
    domains, sizes = Counter(h.failure_domain for h in there), Counter(h.pool for h in there)
    left = sorted((h for h in there if h.name not in busy), key=lambda h: (-_made(nodes[h.name]), natural(h.name)))
    chosen: list[Host] = []

    def rank(host: Host) -> tuple[bool, bool, int]:
        node = nodes[host.name]
        ready, open_ = bool(node and node.ready), bool(node and not node.spec.unschedulable)
        return ready, open_, -domains[host.failure_domain]

    while len(chosen) < count and left:
        worst = min(left, key=rank)
        left.remove(worst)
        least = pools.get(worst.pool or "", MachinePool()).min
        if sizes[worst.pool] <= least and least > 0:
            passed_over[worst.name] = f"pool {worst.pool} has min {least}"
            continue
        chosen.append(worst)
        domains[worst.failure_domain] -= 1
        sizes[worst.pool] -= 1
    return Picked(tuple(chosen), passed_over)


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return what sorts n2 before n10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.findall(r"\d+|\D+", name)]


def short(names: Sequence[str], of: int) -> str:
    """Tell a person who is there of so many that are wanted."""
    return f"{len(names)} of {of}" + (f" ({', '.join(names)})" if names else "")


def _made(node: Node | None) -> float:
    return node.metadata.created.timestamp() if node and node.metadata.created else 0.0
