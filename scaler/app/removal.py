"""Look at a cluster before masters or members of etcd leave: is it well but for them, and may they go."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

from cryptography import x509

from scaler.app import control_plane, networks
from scaler.app.moving import may_move, pods_of
from scaler.app.remove_node import must_be_dead, must_be_same
from scaler.errors import GuardError, InputError, PreflightError, ScalerError, StepError, UnreachableError
from scaler.gateways import kube
from scaler.gateways.clock import wait_until
from scaler.model.state import ClusterState
from scaler.pki.certificates import LEAF_LIFE
from scaler.plan import quorum
from scaler.plan.plan import Plan
from scaler.plan.recipes import remove_master
from scaler.plan.recipes.remove_master import Going
from scaler.steps import sets, voters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.gateways.kube import Kube
    from scaler.model.etcd import EtcdState
    from scaler.model.inventory import Cluster, Host
    from scaler.plan.equality import Table
    from scaler.plan.plan import Drain

# A load balancer that has just lost a master, or a VIP on its way, is no API that is down.
API_SECONDS = 30.0
Group = Literal["masters", "etcd"]
COMMANDS = {"workers": "remove-node", "masters": "remove-master", "etcd": "remove-etcd"}
RESTORE = (
    "without quorum no member can be taken out and nothing can be written. Bring one of the dead members back if that "
    "can be done. Otherwise, on the member whose data is newest (etcdctl endpoint status --write-out=table, RAFT "
    "APPLIED INDEX): stop all API servers; take a copy of its data directory; start it once with --force-new-cluster, "
    "or restore the newest snapshot that scaler kept with etcdutl snapshot restore --bump-revision 1000000000 "
    "--mark-compacted; see docs/how-to/restore-etcd.md"
)


def look(
    session: Session,
    names: Sequence[str],
    *,
    group: Group,
    drain: Drain,
    dead: bool,
    progress: Callable[[str], None],
    joining: Sequence[Host] = (),
) -> Going:
    """Look at everything; raises what speaks against the removal: input, guard, preflight.

    ``joining`` are hosts that come into the group before any leaves it.
    """
    cluster = session.cluster
    hosts = choose(cluster, names, group)
    absent = tuple(name for name in names if name not in {host.name for host in hosts})
    remove_master.may_stay(cluster, group, [host.name for host in hosts], joining=bool(joining))
    if group == "masters" and not dead:
        remove_master.may_be_asked_elsewhere(cluster, hosts)
    among = without(session, hosts) if dead else session
    progress(f"reading cluster {cluster.name}: etcd for {voters.HOLD_SECONDS:g} s, masters, load balancers")
    etcd = _firm(among, () if joining else hosts, group)
    session.steady_at = session.clock.monotonic()
    voting = frozenset(host.name for host in hosts if etcd.at(voters.peer_url(host)))
    try:
        state = kube.look(among.kube)
    except UnreachableError:
        if not dead or joining or absent or voting != {host.name for host in hosts} or _answers(among):
            raise
        return _without_api(session, etcd, hosts, group)
    table = _table(among, hosts, group, dead=dead)
    _must_be_absent(table, etcd, state, absent, group)
    leaving = {host.name for host in hosts}
    warnings = control_plane.sets_are_fit(table, cluster, [host.name for host in joining], leaving)
    new = [host for host in joining if etcd.at(voters.peer_url(host)) is None]
    ordered = _in_order(etcd, hosts, new, session)
    seen = must_be_dead(session, state, hosts) if dead else must_be_same(session, state, hosts, group=group)
    if dead:
        _members_are_dead(etcd, hosts)
    network = networks.may_leave(among, [host.name for host in hosts if group == "masters"], state)
    pods = pods_of(session, state, hosts) if group == "masters" else ()
    if not dead:
        may_move(pods, drain)
    return Going(
        hosts=tuple(ordered),
        voting=voting,
        voters=len(etcd.voters) + len(new),
        dead=dead,
        absent=absent,
        seen=seen,
        pods=tuple(pods),
        warnings=(*warnings, *(_kept(cluster, host, group) for host in hosts if dead)),
        network=network.leaves_work,
    )


def _answers(session: Session) -> bool:
    """Tell whether the API comes to answer, through its endpoint or any living master, within half a minute."""
    servers = [f"{master.address}:{session.cluster.settings.api_port}" for master in session.cluster.masters]
    doors = [session.kube, *(session.kube.at(server) for server in servers)]
    return wait_until(session.clock, lambda: any(map(_is_ready, doors)), timeout=API_SECONDS, every=2.0)


def _is_ready(door: Kube) -> bool:
    try:
        return door.call(["get", "--raw", "/readyz"], timeout=5).strip() == "ok"
    except ScalerError:
        return False


def _without_api(session: Session, etcd: EtcdState, hosts: Sequence[Host], group: Group) -> Going:
    """Return dead hosts whose members leave etcd though the API does not answer.

    That a host is dead is told by SSH and by the other members alone: no Node can be asked.
    """
    seen = must_be_dead(session, ClusterState(server_version="", nodes=()), hosts)
    _members_are_dead(etcd, hosts)
    told = "the API does not answer: no Lease is held, and only etcd's list of members is changed"
    return Going(
        hosts=tuple(_in_order(etcd, hosts, [], session)),
        voting=frozenset(seen),
        voters=len(etcd.voters),
        dead=True,
        seen=seen,
        warnings=(told, *(_kept(session.cluster, host, group) for host in hosts)),
        api=False,
    )


def choose(cluster: Cluster, names: Sequence[str], group: Group) -> tuple[Host, ...]:
    """Return the hosts of ``group`` that are meant; one that is in no group of the cluster's is left out."""
    members = {host.name: host for host in getattr(cluster, group)}
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is given twice")
        other = next((g for g in COMMANDS if any(name == host.name for host in getattr(cluster, g))), "")
        if name not in members and other:
            raise InputError(
                f"{name} is one of the {other} in {cluster.hosts_file}", hint=f"scaler {COMMANDS[other]} {name}"
            )
    return tuple(members[name] for name in names if name in members)


def without(session: Session, hosts: Sequence[Host]) -> Session:
    """Return the session of the same cluster as if ``hosts`` were in no group of it: none of them is contacted."""
    away = {host.name for host in hosts}
    groups = ("masters", "etcd", "workers", "loadbalancers")
    left = {name: tuple(h for h in getattr(session.cluster, name) if h.name not in away) for name in groups}
    made = copy.copy(session)
    made.cluster = session.cluster.model_copy(update=left)
    return made


def _firm(session: Session, hosts: Sequence[Host], group: Group) -> EtcdState:
    """Look until etcd stands firm but for the members that leave."""
    going = [voters.peer_url(host) for host in hosts] if group == "etcd" or session.cluster.own_etcd else []
    try:
        return voters.steady(session.etcd, session.clock, session.own_members(), going=going)
    except GuardError as e:
        lost = "no quorum" in e.message or "does not answer" in e.message
        raise GuardError(e.message, hint=RESTORE if lost else e.hint) from e


def _in_order(etcd: EtcdState, hosts: Sequence[Host], new: Sequence[Host], session: Session) -> list[Host]:
    """Return the hosts in the order in which they leave; raises GuardError with the arithmetic where one may not."""
    members = {host.name: etcd.at(voters.peer_url(host)) for host in hosts}
    called = {member.called: name for name, member in members.items() if member}
    there = [*voters.seen(etcd, session.own_members()), *(quorum.Seen(host.name) for host in new)]
    order, told = quorum.leaving(there, list(called))
    if told:
        raise GuardError(f"not all of them can leave: {told}", hint="nothing was touched")
    rank = [called[name] for name in order]
    # One whose member is gone already finishes first.
    return sorted(hosts, key=lambda host: rank.index(host.name) if host.name in rank else -1)


def _members_are_dead(etcd: EtcdState, hosts: Sequence[Host]) -> None:
    for host in hosts:
        member = etcd.at(voters.peer_url(host))
        if member and member.id in etcd.healthy:
            raise PreflightError(f"{host.name} is not dead: its member of etcd is healthy", hint="leave --dead out")


def _table(session: Session, hosts: Sequence[Host], group: Group, *, dead: bool) -> Table:
    names = tuple(host.name for host in hosts) if dead else ()
    plan = Plan(
        change="look", cluster=session.cluster.name, hosts=tuple(hosts), steps=(), makes=group, leaves=group, dead=names
    )
    try:
        return sets.look(session.world(plan), everywhere=False, configured=True)
    except StepError as e:
        raise PreflightError(e.message, hint=f"{e.hint or 'mend it first'}; nothing was touched") from e


def _must_be_absent(table: Table, etcd: EtcdState, state: ClusterState, names: Sequence[str], group: Group) -> None:
    """Refuse a name that is not in the inventory's group, and that the cluster knows all the same."""
    for name in names:
        found = next((row.title for row in table.rows if name in row.hosts), "")
        if not found and any(member.called == name for member in etcd.members):
            found = "etcd's list of members"
        if not found and state.node(name) and group == "masters":
            found = "the nodes"
        if found:
            raise PreflightError(
                f"{name} is none of the inventory's {group}, but {found} has it",
                hint=f"put it under '{group}' in the inventory, then run the same command again; nothing was touched",
            )


def _kept(cluster: Cluster, host: Host, group: Group) -> str:
    """Say what a dead host still holds and until when; when its certificates were issued is not known here."""
    pki, which = cluster.settings.pki_dir, "etcd-ca" if group == "etcd" else "ca"
    ends = []
    for path in sorted((pki / "hosts" / host.name).glob("*.crt")):
        until = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        ends.append(f"{path.stem} until {until:%Y-%m-%d}")
    ca = x509.load_pem_x509_certificate((pki / f"{which}.crt").read_bytes()).not_valid_after_utc
    issued = f"those that scaler issued at most {LEAF_LIFE.days} days from when it did, which is not known here"
    keys = "" if group == "etcd" else "; and the cluster CA's and the service accounts' keys, which do not end by time"
    return (
        f"{host.name} is not contacted and still holds certificates: {', '.join([*ends, issued])} "
        f"(none beyond {ca:%Y-%m-%d}, their CA's end){keys}: wipe its disk, or issue new authorities"
    )
