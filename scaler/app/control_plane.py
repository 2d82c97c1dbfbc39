"""Look at a cluster before its control plane or its etcd grows: is all as it should be, and is the new host fit."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, NamedTuple

from scaler.app import networks, preflight
from scaler.app.add_node import told, versions_agree
from scaler.checks import masters
from scaler.errors import GuardError, InputError, PreflightError, ScalerError, StepError
from scaler.gateways import kube, kubeconfig
from scaler.gateways.ssh import on_each
from scaler.gateways.threads import Threads
from scaler.model import versions
from scaler.pki.certificates import check_ca
from scaler.pki.names import check_leaf
from scaler.plan import etcd_versions
from scaler.plan.plan import Living, Plan
from scaler.steps import sets, voters
from scaler.steps.base import etcd_binaries, master_binaries, worker_binaries
from scaler.steps.master_credentials import AUTHORITIES, leaves, read_pair
from scaler.steps.pki_made import must_be_private

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from scaler.app.session import Session
    from scaler.model.etcd import EtcdState
    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import ClusterState
    from scaler.plan.equality import Table

_SHARED = {"client-ca-file": "ca.crt", "etcd-cafile": "etcd-ca.crt", "service-account-key-file": "sa.pub"}
_SHARED |= {"service-account-signing-key-file": "sa.key", "encryption-provider-config": "encryption.yaml"}


class Looked(NamedTuple):
    """What was seen, nothing of it unfit; ``table`` are the sets as they are."""

    state: ClusterState
    table: Table
    warnings: tuple[str, ...]
    living: Living = Living()

    def hosts_of(self, title: str) -> set[str]:
        """Return the hosts of every set whose title begins with ``title``."""
        return {host for row in self.table.rows if row.title.startswith(title) for host in row.hosts}


def look(
    session: Session,
    hosts: Sequence[Host],
    *,
    becomes: Literal["masters", "etcd"],
    progress: Callable[[str], None],
    gone: Sequence[Host] = (),
) -> Looked:
    """Look at everything, all at once; raises what speaks against a change: input, guard, preflight, integrity.

    ``gone`` are dead hosts, in no group of the session's cluster, that leave before any is added.
    """
    cluster = session.cluster
    credentials_are_fit(cluster, hosts, session)
    _version_is_fit(cluster)
    progress(f"reading cluster {cluster.name}: masters, load balancers, etcd for {voters.HOLD_SECONDS:g} s")
    with Threads(3) as pool:
        going = [voters.peer_url(host) for host in gone] if gone else None
        etcd = pool.submit(voters.steady, session.etcd, session.clock, session.own_members(), going=going)
        binaries = pool.submit(_binaries, session, becomes, progress)
        seen = pool.submit(_cluster, session, hosts, becomes, gone)
        # Where etcd is not well little else is: the reason is told, not what comes of it.
        steady = etcd.result()
        state, table, warnings, living = seen.result()
        binaries.result()
    if gone:
        _others_are_well(steady, going or [])
    session.steady_at = session.clock.monotonic()
    data = voters.same_data(session.etcd, steady)
    if data:
        raise GuardError(data, hint="find the voter that is wrong before anything else; nothing was touched")
    wrong = [s.version for s in steady.status.values() if s.version.split(".")[:2] != _minor(cluster)]
    if wrong:
        raise PreflightError(
            f"the inventory's etcd_version {cluster.settings.etcd_version} is not the cluster's {wrong[0]}",
            hint="a new member has the minor of the others; correct etcd_version",
        )
    settings = cluster.settings
    old = etcd_versions.beside(settings.etcd_version, settings.kubernetes_version)
    return Looked(state, table, (*warnings, *etcd_versions.traps(settings.etcd_version), *old), living)


def _others_are_well(state: EtcdState, going: Collection[str]) -> None:
    """Refuse where, behind those that leave, a member could not be added."""
    sick = [m.called for m in state.voters if m.id not in state.healthy and not set(going) & set(m.peer_urls)]
    if sick:
        raise GuardError(
            f"{', '.join(sick)} is down too: no member can be added then",
            hint="bring it back first, or take both out (scaler remove-master --dead); nothing was touched",
        )


def credentials_are_fit(cluster: Cluster, hosts: Sequence[Host], session: Session) -> None:
    """Refuse missing, open, foreign or dying authorities, and ready-made certificates that lack a name."""
    pki, now = cluster.settings.pki_dir, session.clock.now()
    for name in (
        *(f"{a}.{half}" for a in AUTHORITIES for half in ("crt", "key")),
        "sa.pub",
        "sa.key",
        "encryption.yaml",
    ):
        if not (pki / name).is_file():
            raise InputError(f"{pki / name} is missing", hint="bring it from a master or a backup")
        if not name.endswith((".crt", ".pub")):
            must_be_private(pki / name)
    for name in AUTHORITIES:
        check_ca(str(pki / name), read_pair(pki, name), now)
    for host in hosts:
        _ready_made_are_fit(cluster, host, now)


def _ready_made_are_fit(cluster: Cluster, host: Host, now: datetime) -> None:
    """Check every pair that stands ready for ``host`` as it will be used: its authority, its key, its names."""
    pki = cluster.settings.pki_dir
    ready = pki / "hosts" / host.name
    for name, (authority, subject, _) in leaves(cluster, host).items():
        if (ready / f"{name}.crt").exists():
            if not (ready / f"{name}.key").is_file():
                raise InputError(f"{ready / name}.key is missing", hint="a certificate of use comes with its key")
            must_be_private(ready / f"{name}.key")
            wanted = (*subject.dns, *subject.addresses)
            check_leaf(str(ready / name), read_pair(ready, name), authority.certificate, wanted, now)


def _version_is_fit(cluster: Cluster) -> None:
    why = etcd_versions.refusal(cluster.settings.etcd_version)
    if why:
        raise GuardError(why, hint="upgrade etcd first")


def _minor(cluster: Cluster) -> list[str]:
    return cluster.settings.etcd_version.split(".")[:2]


def _binaries(session: Session, becomes: str, progress: Callable[[str], None]) -> None:
    settings = session.cluster.settings
    wanted = etcd_binaries(settings)
    if becomes == "masters":
        wanted = (*master_binaries(settings), *worker_binaries(settings))
    session.store.verify(wanted, progress)


def _cluster(
    session: Session, hosts: Sequence[Host], becomes: Literal["masters", "etcd"], gone: Sequence[Host]
) -> tuple[ClusterState, Table, list[str], Living]:
    """Read nodes, masters, load balancers and the new hosts; raises PreflightError with all that is wrong."""
    cluster = session.cluster
    state = kube.look(session.kube)
    if becomes == "masters":
        versions_agree(cluster, state)
        if versions.minor(cluster.settings.kubernetes_version) != versions.minor(state.server_version):
            raise PreflightError(
                f"the inventory's kubernetes_version {cluster.settings.kubernetes_version} is not the masters' "
                f"{state.server_version}",
                hint="a new master runs what the others run; correct kubernetes_version",
            )
    _masters_are_alike(session)
    dead = tuple(host.name for host in gone)
    plan = Plan(change="look", cluster=cluster.name, hosts=(*hosts, *gone), steps=(), makes=becomes, dead=dead)
    try:
        # Where etcd stands elsewhere, only a balancer tells whether a host serves already.
        table = sets.look(session.world(plan), everywhere=not cluster.own_etcd, configured=True)
    except StepError as e:
        raise PreflightError(e.message, hint=f"{e.hint or 'mend it first'}; nothing was touched") from e
    warnings = sets_are_fit(table, cluster, {host.name for host in hosts}, {host.name for host in gone})
    listed = {host.name for host in getattr(cluster, becomes)}
    new = [host for host in hosts if host.name not in listed]
    findings, living = [], networks.Looked()
    if becomes == "masters" and hosts:
        living = networks.look(session, state, without=[host.name for host in (*hosts, *gone)])
    if new:
        authority = kubeconfig.read(cluster.settings.admin_kubeconfig).ca
        endpoints = [f"{master.address}:6443" for master in cluster.masters] if becomes == "masters" else []
        findings = preflight.look(
            session, new, state, ca=authority, endpoints=endpoints, becomes=becomes, living=lambda: living
        )
    # What votes or serves already runs there by right.
    findings = [f for f in findings if not (_runs(f.host, table) and f.check in preflight.RUNNING)]
    if any(not f.warning for f in findings):
        raise PreflightError(told(findings), hint="nothing was touched")
    told_of = [*warnings, *living.warnings, *(f"{f.host}: {f.message}" for f in findings)]
    return state, table, told_of, living.living


def _runs(host: str, table: Table) -> bool:
    return any(host in row.hosts for row in table.rows if row.title == "etcd's voters" or "backends" in row.title)


def _masters_are_alike(session: Session) -> None:
    """Compare the living masters with each other and with the files that a new one would get."""
    cluster = session.cluster
    seen = on_each(cluster.masters, lambda master: masters.look(session.ssh, master))
    for found in seen.values():
        if isinstance(found, ScalerError):
            raise found
    facts = {name: found for name, found in seen.items() if not isinstance(found, ScalerError)}
    first = cluster.masters[0].name
    problems = [f"{first} and {n}: {d}" for n, f in facts.items() for d in masters.differences(facts[first], f)]
    for name, found in facts.items():
        flags = found.components.get(masters.APISERVER)
        if flags is None:
            problems.append(f"{name}: no API server runs there")
            continue
        for flag, file in _SHARED.items():
            mine = hashlib.sha256((cluster.settings.pki_dir / file).read_bytes()).hexdigest()
            theirs = found.files.get(flags.get(flag, ""))
            if theirs != mine:
                problems.append(f"{name}: --{flag} names another file than {file} in pki_dir")
    if problems:
        raise PreflightError("\n".join(problems), hint="masters of one cluster are alike; nothing was touched")


def sets_are_fit(table: Table, cluster: Cluster, new: Collection[str], leaving: Collection[str] = ()) -> list[str]:
    """Refuse sets that differ in more than the hosts of this command; return what this run will put right."""
    wanted = {True: {h.name for h in cluster.etcd}, False: {h.name for h in cluster.masters}}
    problems, warnings = [], []
    for row in table.rows:
        foreign = sorted(set(row.hosts) - wanted[row.of_etcd] - {*new, *leaving})
        lacking = sorted(wanted[row.of_etcd] - set(row.hosts) - set(leaving))
        if row.title.removeprefix("etcd list of ") in leaving or row.title.removeprefix("backends of ") in leaving:
            continue
        if foreign:
            problems.append(f"{row.title}: {', '.join(foreign)} is none of the inventory's")
        if lacking and row.title.startswith(("backends", "etcd list")):
            warnings.append(f"{row.title}: {', '.join(lacking)} is missing; this run puts it right")
        elif lacking:
            problems.append(f"{row.title}: {', '.join(lacking)} is missing")
    if problems:
        raise PreflightError(
            "the cluster is not what its inventory says:\n" + "\n".join(problems),
            hint="finish or undo the earlier change first (the same command again finishes it); nothing was touched",
        )
    return warnings
