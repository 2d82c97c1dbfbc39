"""Take workers away from a cluster: look, prove, and tell beforehand what every pod loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from scaler.app import networks
from scaler.app.moving import may_move, pods_of
from scaler.errors import InputError, PreflightError, ScalerError, UnreachableError
from scaler.gateways import kube
from scaler.gateways.ssh import HostKeyError, LoginError, SudoError, on_each
from scaler.model.inventory import Connection, Host
from scaler.model.names import NodeName
from scaler.plan.plan import Drain, Seen
from scaler.plan.recipes import remove_node
from scaler.plan.recipes.remove_node import Named
from scaler.steps import sets
from scaler.steps.leaving import look_at, not_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Cluster
    from scaler.model.state import ClusterState, Node
    from scaler.plan.plan import Plan
    from scaler.steps.leaving import Found

_NAME: TypeAdapter[str] = TypeAdapter(NodeName)


def prepare(
    session: Session,
    names: Sequence[str],
    *,
    drain: Drain,
    max_unavailable: int,
    dead: bool,
    to_standby: bool = False,
    state: ClusterState | None = None,
    progress: Callable[[str], None],
) -> Plan:
    """Look at the hosts called ``names`` and at their pods, and return the plan; nothing is changed.

    The cluster is looked at too, unless its ``state`` is given. With ``dead`` each of the hosts is to be proven gone
    instead; with ``to_standby`` each is to wait for work again. Raises InputError and PreflightError.
    """
    cluster = session.cluster
    if to_standby:
        _may_wait(cluster, names, dead=dead)
    if state is None:
        progress(f"reading cluster {cluster.name}")
        state = kube.look(session.kube)
    hosts = choose(cluster, state, names, dead=dead)
    absent = tuple(name for name in names if name not in {host.name for host in hosts})
    progress(f"looking at {', '.join(names)} and their pods")
    seen = must_be_dead(session, state, hosts) if dead else must_be_same(session, state, hosts, group="workers")
    network = networks.may_leave(session, [host.name for host in hosts], state)
    moving = pods_of(session, state, hosts)
    if not dead:
        may_move(moving, drain)
    plan = remove_node.plan(
        cluster,
        Named(hosts, tuple(host.name for host in hosts) if dead else (), absent),
        seen=seen,
        pods=moving,
        drain=drain,
        max_unavailable=max_unavailable,
        warnings=_warnings(cluster, state, hosts, dead=dead),
        network=network.leaves_work,
    )
    return plan.model_copy(update={"to_standby": to_standby})


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    at_once = max((len(spec.hosts) for spec in plan.steps if spec.step == "nodes_drained"), default=1)
    return prepare(
        session,
        [host.name for host in plan.hosts],
        drain=plan.drain or Drain(),
        max_unavailable=at_once,
        dead=bool(plan.dead),
        to_standby=plan.to_standby,
        progress=progress,
    )


def _may_wait(cluster: Cluster, names: Sequence[str], *, dead: bool) -> None:
    """Refuse for standby what could not wait there: a machine that is gone, or one that has another duty."""
    if dead:
        raise InputError("--to-standby is for hosts that live", hint="leave out --to-standby, or --dead")
    for group in ("etcd", "loadbalancers"):
        for host in getattr(cluster, group):
            if host.name in names:
                raise InputError(
                    f"{host.name} is one of the {group} in {cluster.hosts_file}: it stays that, and waits for no work",
                    hint="leave --to-standby out",
                )


def choose(cluster: Cluster, state: ClusterState, names: Sequence[str], *, dead: bool) -> tuple[Host, ...]:
    """Return the hosts that are workers; one that neither is a Node nor listed as a worker is left out."""
    known, workers = cluster.hosts(), {host.name for host in cluster.workers}
    chosen = []
    for name in names:
        _must_be_a_name(name)
        if names.count(name) > 1:
            raise InputError(f"{name} is given twice")
        node = state.node(name)
        _must_be_a_worker(cluster, name, node)
        if node is None and name not in workers:
            continue
        if name in known:
            chosen.append(known[name])
        elif dead and node is not None and node.internal_ip:
            chosen.append(Host(name=name, connection=Connection(address=node.internal_ip)))
        else:
            raise InputError(
                f"{name} is a node of the cluster, but not in {cluster.hosts_file}: it cannot be reached to be cleaned",
                hint="put it under 'workers' there; or, where it is gone for good, say --dead",
            )
    return tuple(chosen)


def _must_be_a_name(name: str) -> None:
    try:
        _NAME.validate_python(name)
    except ValidationError as e:
        raise InputError(f"{name!r} is not the name of a node: {e.errors()[0]['msg']}") from e


def _must_be_a_worker(cluster: Cluster, name: str, node: Node | None) -> None:
    labelled = node is not None and any(role in node.metadata.labels for role in sets.ROLES)
    if labelled or any(host.name == name for host in cluster.masters):
        raise InputError(f"{name} is a master", hint=f"scaler remove-master {name}")
    if any(host.name == name for host in cluster.etcd):
        raise InputError(f"{name} is a member of etcd", hint=f"scaler remove-etcd {name}")


def must_be_same(session: Session, state: ClusterState, hosts: Sequence[Host], *, group: str) -> dict[str, Seen]:
    """Return how each host and its Node are seen; refuse one that does not answer or is another's machine."""
    seen, wrong = {}, []
    for name, found in on_each(hosts, lambda host: look_at(session.ssh, host, group)).items():
        node = state.node(name)
        if isinstance(found, ScalerError):
            if isinstance(found, (HostKeyError, LoginError, SudoError)) or not isinstance(found, UnreachableError):
                raise PreflightError(found.message, hint=found.hint)
            raise PreflightError(
                f"{name} cannot be reached to be cleaned: {found.message}",
                hint="repair it; or, where it is gone for good, say --dead; nothing was touched",
            )
        wrong += _differences(session.cluster, name, found, node)
        seen[name] = Seen(uid=node.metadata.uid if node else "", machine_id=found.machine_id)
    if wrong:
        raise PreflightError("\n".join(wrong), hint="correct the inventory; nothing was touched")
    return seen


def _differences(cluster: Cluster, name: str, found: Found, node: Node | None) -> list[str]:
    host = cluster.hosts()[name]
    said = [f"{name}: {why}" for why in [not_ours(found, host, cluster.name)] if why]
    if node and node.status.info.machine_id not in {"", found.machine_id}:
        said.append(f"{name}: the host has machine-id {found.machine_id}, its node {node.status.info.machine_id}")
    if node and node.internal_ip not in {"", host.address}:
        said.append(f"{name}: the inventory says {host.address}, its node has {node.internal_ip}")
    return said


def must_be_dead(session: Session, state: ClusterState, hosts: Sequence[Host]) -> dict[str, Seen]:
    """Return how the Node of each host is seen; refuse a host that answers SSH, if only by a no, or is Ready."""
    seen = {}
    for name, said in on_each(hosts, lambda host: session.ssh.run(host, ["true"], timeout=10)).items():
        node = state.node(name)
        if not isinstance(said, UnreachableError) or isinstance(said, (HostKeyError, LoginError, SudoError)):
            why = f" ({said.message})" if isinstance(said, ScalerError) else ""
            raise PreflightError(
                f"{name} is not dead: SSH answers there{why}",
                hint="leave --dead out; or switch the machine off first; nothing was touched",
            )
        if node is not None and node.ready:
            raise PreflightError(
                f"{name} is not dead: its node is Ready",
                hint="wait until the cluster has noticed (under a minute), or leave --dead out; nothing was touched",
            )
        machine = node.status.info.machine_id if node else ""
        seen[name] = Seen(uid=node.metadata.uid if node else "", machine_id=machine)
    return seen


def _warnings(cluster: Cluster, state: ClusterState, hosts: Sequence[Host], *, dead: bool) -> list[str]:
    going = {host.name for host in hosts}
    told = [
        f"{node.name} is not Ready ({node.why_not_ready}): its pods may not end, and then it stays"
        for node in state.nodes
        if node.name in going and not node.ready and not dead
    ]
    if going and not any(node.takes_pods for node in state.nodes if node.name not in going):
        told.append("no node is left that takes pods: what moves off waits until there is one")
    if dead:
        why = "its pods start elsewhere at once, and would run twice were it alive and only cut off"
        told += [f"{name} counts as dead: {why}" for name in sorted(going)]
    twice = going & {host.name for host in cluster.loadbalancers}
    told += [f"{name} stays a load balancer" for name in sorted(twice)]
    return told
