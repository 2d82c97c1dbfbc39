"""Have a number of workers: more out of the hosts on standby, fewer by those that go back there, cleaned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.app import add_node, remove_node
from scaler.errors import GuardError, InputError, PreflightError
from scaler.gateways import kube
from scaler.plan import standby
from scaler.plan.plan import Drain, Plan
from scaler.plan.recipes import add_node as recipe
from scaler.plan.standby import Candidate, Sizing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scaler.app.session import Session
    from scaler.model.inventory import Cluster, Host
    from scaler.model.machine_pools import MachinePool
    from scaler.model.state import ClusterState


class How(NamedTuple):
    """What was said beside the size: whether fewer will do where not all are there, and how workers leave."""

    partial: bool = False
    drain: Drain = Drain(ignore_daemonsets=True)
    max_unavailable: int = 1


def prepare(session: Session, pool: str | None, wanted: str, how: How, *, progress: Callable[[str], None]) -> Plan:
    """Look at the workers of ``pool``, or at all, and return the plan that brings them to ``wanted``.

    Nothing is changed. ``plan.sizing`` says what was asked for and what is missing of it. Raises InputError, GuardError
    out of bounds, and PreflightError where fewer hosts on standby are fit than are needed, unless ``how.partial``.
    """
    cluster = session.cluster
    of_pool(cluster, pool)
    progress(f"reading cluster {cluster.name}")
    state = kube.look(session.kube)
    before = len(standby.present(cluster, state, pool))
    size = standby.size_of(wanted, before, pool)
    standby.may_have(cluster.settings.pools, pool, size, before)
    sizing = Sizing(pool=pool, before=before, wanted=size)
    if size > before:
        return _more(session, state, sizing, how, progress)
    if size < before:
        return _fewer(session, state, sizing, how, progress)
    return Plan(
        change="add-node",
        cluster=cluster.name,
        hosts=(),
        steps=(),
        warnings=_unfinished(cluster, state, pool),
        sizing=sizing,
    )


def of_pool(cluster: Cluster, pool: str | None) -> MachinePool | None:
    """Return the pool of that name, None for none; raises InputError where the cluster has no such pool."""
    if pool is None:
        return None
    if pool not in cluster.settings.pools:
        there = ", ".join(cluster.settings.pools) or "none"
        raise InputError(
            f"cluster {cluster.name} has no pool {pool}",
            hint=f"its pools: {there}; they are 'pools' in {cluster.directory}/group_vars/all.yml",
        )
    return cluster.settings.pools[pool]


def candidates(
    session: Session, state: ClusterState, pool: str | None, progress: Callable[[str], None]
) -> tuple[list[Candidate], add_node.Examined]:
    """Examine every host on standby of ``pool``, all at once; return how fit each is, and what was found."""
    cluster = session.cluster
    unfinished = [host for host in cluster.working(pool) if state.node(host.name) is None]
    hosts = [*unfinished, *cluster.waiting(pool)]
    said = dict(_contradicting(cluster, state, hosts))
    examined = add_node.examine(session, [host for host in hosts if host.name not in said], state, progress)
    doubts = dict.fromkeys((host.name for host in hosts), 0)
    for finding in examined.findings:
        if finding.warning:
            doubts[finding.host] += 1
        else:
            said[finding.host] = "; ".join(
                filter(None, [said.get(finding.host), f"{finding.check}: {finding.message}"])
            )
    return [
        Candidate(
            host,
            unfit=said.get(host.name, ""),
            doubts=doubts[host.name],
            begun=host in unfinished or state.node(host.name) is not None,
        )
        for host in hosts
    ], examined


def _contradicting(cluster: Cluster, state: ClusterState, hosts: Iterable[Host]) -> Iterator[tuple[str, str]]:
    """Yield hosts of which the inventory and the cluster say things that cannot both be, and what."""
    for host in hosts:
        try:
            recipe.standing(host, cluster, state)
        except PreflightError as e:
            yield host.name, e.message


def _more(session: Session, state: ClusterState, sizing: Sizing, how: How, progress: Callable[[str], None]) -> Plan:
    cluster, count = session.cluster, sizing.wanted - sizing.before
    add_node.versions_agree(cluster, state)
    seen, examined = candidates(session, state, sizing.pool, progress)
    there = standby.present(cluster, state, sizing.pool)
    chosen, passed_over = standby.pick(seen, there, cluster.settings.pools, count)
    names = [host.name for host in chosen]
    sizing = sizing.model_copy(update={"short": count - len(chosen), "passed_over": passed_over})
    if not chosen or (sizing.short and not how.partial):
        _refuse(sizing, names, count, partial=how.partial)
    progress(f"taking {', '.join(names)} from standby")
    told = [f"{name} is passed over: {why}" for name, why in passed_over.items()]
    if sizing.short:
        told.append(f"{sizing.short} of {count} are missing: no more hosts on standby are fit")
    plan = add_node.planned(session, state, chosen, examined.of(names), examined.living)
    return plan.model_copy(update={"sizing": sizing, "warnings": (*plan.warnings, *told)})


def _refuse(sizing: Sizing, names: list[str], count: int, *, partial: bool) -> None:
    lines = [f"{name}: passed over: {why}" for name, why in sizing.passed_over.items()]
    what = f"{sizing.told} is to get {count} more workers, and of its hosts on standby {len(names)} can be taken"
    listed = f": {', '.join(names)}" if names else ""
    some = "; --partial takes what is there" if names and not partial else ""
    raise PreflightError(
        "\n".join([f"{what}{listed}", *lines]),
        hint=f"put more hosts on standby, or repair these; nothing was touched{some}",
    )


def _fewer(session: Session, state: ClusterState, sizing: Sizing, how: How, progress: Callable[[str], None]) -> Plan:
    cluster, count = session.cluster, sizing.before - sizing.wanted
    chosen, stay = standby.leave(cluster, state, cluster.settings.pools, sizing.pool, count)
    names = [host.name for host in chosen]
    if len(chosen) < count:
        told = "\n".join(f"{name} stays: {why}" for name, why in stay.items())
        raise GuardError(
            f"{sizing.told} is to have {count} workers fewer, and {len(names)} may go\n{told}",
            hint=f"ask for {sizing.before - len(names)}; nothing was touched",
        )
    plan = remove_node.prepare(
        session,
        names,
        drain=how.drain,
        max_unavailable=how.max_unavailable,
        dead=False,
        to_standby=True,
        state=state,
        progress=progress,
    )
    return plan.model_copy(update={"sizing": sizing})


def _unfinished(cluster: Cluster, state: ClusterState, pool: str | None) -> tuple[str, ...]:
    """Tell of workers that have no Node: no size counts them."""

    def told(host: Host) -> str:
        return (
            f"{host.name} is one of the workers in the inventory and has no node: "
            f"scaler add-node {host.name} or scaler remove-node {host.name} finishes that"
        )

    return tuple(told(host) for host in cluster.working(pool) if state.node(host.name) is None)
