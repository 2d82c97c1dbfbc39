"""Look at a whole cluster, whatever of it is down: every source at once, each with its own end, nothing written."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography import x509

from scaler.app import status_api, status_etcd, status_hosts
from scaler.app.asking import at_once, caught, late
from scaler.app.status_api import ApiLook
from scaler.app.status_hosts import SECONDS, HostLook
from scaler.engine import history, lock
from scaler.errors import PreflightError, ScalerError, UnreachableError
from scaler.gateways import kubeconfig
from scaler.model.status import BackendSeen, BalancerSeen, CertificateSeen, RunSeen, Status, Unknown
from scaler.plan.equality import Row, Table
from scaler.steps.voters import client_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scaler.app.session import Session
    from scaler.drivers.lb import Backend, Balancer
    from scaler.model.etcd import Member
    from scaler.model.inventory import Cluster
    from scaler.plan.health import Problem

_SYSTEM = "DNS, workloads and the Lease of kube-system"
_CONTROL_PLANE = ("control-plane", "master")


def collect(session: Session) -> Status:
    """Ask everybody and return what is known after at most ten seconds."""
    cluster, clock = session.cluster, session.clock
    asked, left = status_hosts.balancers(cluster)
    hosts = status_hosts.to_ask(cluster, asked)
    fronts = {balancer.host.name: balancer for balancer in asked if balancer.host is not None}
    looks = {name: HostLook() for name in hosts}
    api = ApiLook(why=late(SECONDS).message)
    work: dict[str, Callable[[], Any]] = {"api": partial(status_api.look, session, api)}
    for name, host in hosts.items():
        work[f"host {name}"] = partial(status_hosts.look, session, host, fronts.get(name), looks[name])
    for master in cluster.masters:
        work[f"tls {master.name}"] = partial(session.certificate_at, master.address, 6443)
    work |= {f"balancer {b.name}": partial(status_hosts.serving, session, b) for b in asked if b.host is None}
    told = at_once(clock, work, seconds=SECONDS)
    if isinstance(failed := told["api"], ScalerError) and api.nodes is None:
        api.why = failed.message
        api.nodes = api.system = failed
    return _put_together(session, api, looks, told, asked, left)


def error(status: Status, found: Sequence[Problem]) -> ScalerError | None:
    """Return what the command ends with: None where all is well, warnings aside."""
    if not status.answered:
        return UnreachableError(
            f"nothing of cluster {status.cluster} answers", hint="check this machine's network, then the hosts"
        )
    wrong = [problem for problem in found if not problem.warning]
    if wrong:
        count = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
        return PreflightError(
            f"cluster {status.cluster} is not well: {count}", hint="each problem is told with what to do next"
        )
    return None


def changed(cluster: Cluster) -> bool:
    """Tell whether the inventory is another one by now."""
    return hashlib.sha256(cluster.hosts_file.read_bytes()).hexdigest() != cluster.hosts_digest


def _put_together(
    session: Session,
    api: ApiLook,
    looks: Mapping[str, HostLook],
    told: Mapping[str, Any],
    asked: list[Balancer],
    left: int,
) -> Status:
    cluster, settings = session.cluster, session.cluster.settings
    etcd, unknown = status_etcd.put_together(cluster, looks)
    unknown += [Unknown(what=f"host {name}", why=look.away) for name, look in looks.items() if look.away]
    balancers = [_balancer(cluster, b, looks, told) for b in asked]
    unknown += [
        Unknown(what=f"load balancer {b.name}", why=b.why)
        for b in balancers
        if b.why and not (b.name in looks and looks[b.name].away)
    ]
    unknown += [
        Unknown(what=f"whether {name} holds the VIP", why=look.vip.message)
        for name, look in looks.items()
        if isinstance(look.vip, ScalerError) and settings.vip and not look.away and name in {b.name for b in balancers}
    ]
    certificates, unread = _certificates(cluster, looks, told)
    unknown += unread
    nodes = api.nodes if not isinstance(api.nodes, ScalerError) else None
    system = api.system if not isinstance(api.system, ScalerError) else None
    why = {
        what: part.message if part is not None else late(SECONDS).message
        for what, part in (("nodes", api.nodes), (_SYSTEM, api.system))
        if part is None or isinstance(part, ScalerError)
    }
    if len(set(why.values())) == 1:
        unknown.append(Unknown(what=", ".join(why), why=next(iter(why.values()))))
    else:
        unknown += [Unknown(what=what, why=reason) for what, reason in why.items()]
    masters = []
    for master in cluster.masters:
        running = looks[master.name].running
        seen = api.masters.get(master.name) or status_api.master_seen(master, late(SECONDS))
        servers = None if isinstance(running, ScalerError) else running.etcd_servers
        masters.append(seen.model_copy(update={"etcd_servers": servers}))
    if isinstance(api.network, ScalerError):
        unknown.append(Unknown(what=f"how the network ({settings.cni}) is set up", why=api.network.message))
    listed = {host.name for host in (*cluster.masters, *cluster.workers)}
    there = {node.name for node in nodes or ()}
    return Status(
        cluster=cluster.name,
        at=session.clock.now(),
        endpoint=settings.api_endpoint,
        api=not api.why,
        api_why=api.why,
        told_by=api.told_by,
        version=api.version,
        cni=api.network if isinstance(api.network, str) else settings.cni,
        proxy=_proxies(looks),
        hosts={name: look.away for name, look in looks.items()},
        nodes=nodes,
        masters=tuple(masters),
        etcd=etcd,
        balancers=tuple(balancers),
        balancers_left=left,
        vip=settings.vip or "",
        dns=None if system is None else status_api.dns(system, settings.cluster_dns),
        workloads=() if system is None else status_api.workloads(system),
        certificates=certificates,
        differences=tuple(_differences(cluster, looks, balancers, nodes)),
        missing_nodes=tuple(sorted(listed - there)) if nodes is not None else (),
        foreign_nodes=tuple(sorted(there - listed)) if nodes is not None else (),
        runs=unfinished(cluster.name),
        lock=lock.look(cluster.name),
        lease=None if system is None else status_api.lease(system),
        unknown=tuple(unknown),
    )


def _balancer(
    cluster: Cluster, balancer: Balancer, looks: Mapping[str, HostLook], told: Mapping[str, Any]
) -> BalancerSeen:
    look = looks.get(balancer.host.name) if balancer.host else None
    serving: tuple[Backend, ...] | ScalerError = look.backends if look else told[f"balancer {balancer.name}"]
    vip = look.vip if look and cluster.settings.vip else None
    held = None if isinstance(vip, ScalerError) else vip
    if isinstance(serving, ScalerError):
        return BalancerSeen(name=balancer.name, why=serving.message, vip=held)
    names = {master.address: master.name for master in cluster.masters}
    seen = [BackendSeen(name=names.get(b.address, b.address), up=b.up, told=b.told) for b in serving]
    return BalancerSeen(name=balancer.name, backends=tuple(seen), vip=held)


def _proxies(looks: Mapping[str, HostLook]) -> dict[str, str]:
    """Return mode and version of each kube-proxy that was asked."""
    found = {}
    for name, look in looks.items():
        if not isinstance(look.running, ScalerError) and "kube-proxy" in look.running.components:
            told = f"{look.running.proxy_mode} {look.running.proxy_version.removeprefix('Kubernetes v')}"
            found[name] = told.strip() or "runs"
    return found


def _certificates(
    cluster: Cluster, looks: Mapping[str, HostLook], told: Mapping[str, Any]
) -> tuple[tuple[CertificateSeen, ...], list[Unknown]]:
    """Return the certificates that were seen, those that end first at the head, and what could not be read."""
    pems: list[tuple[str, str, bytes]] = []
    unknown = []
    for master in cluster.masters:
        shown = told[f"tls {master.name}"]
        if isinstance(shown, ScalerError):
            unknown.append(Unknown(what=f"certificate of {master.name}'s API server", why=shown.message))
        else:
            pems.append((master.name, f"{master.address}:6443", shown.encode()))
    for name, look in looks.items():
        if not isinstance(look.running, ScalerError):
            pems += [(name, what, pem.encode()) for what, many in look.running.certificates.items() for pem in many]
        elif not look.away:
            unknown.append(Unknown(what=f"what runs on {name}", why=look.running.message))
    here, unread = _own_certificates(cluster)
    found = []
    for host, what, pem in (*pems, *here):
        certificate = caught(partial(x509.load_pem_x509_certificate, pem))
        if isinstance(certificate, ScalerError):
            unread.append(Unknown(what=f"certificate of {host}: {what}", why=certificate.message))
        else:
            found.append(CertificateSeen(host=host, what=what, ends=certificate.not_valid_after_utc))
    return tuple(sorted(set(found), key=lambda each: (each.ends, each.host, each.what))), [*unknown, *unread]


def _own_certificates(cluster: Cluster) -> tuple[list[tuple[str, str, bytes]], list[Unknown]]:
    """Return what lies on this machine: the authorities, and the administrator's own certificate."""
    settings = cluster.settings
    found, unknown = [], []
    for path in sorted(settings.pki_dir.glob("*.crt")):
        read = caught(path.read_bytes)
        if isinstance(read, ScalerError):
            unknown.append(Unknown(what=f"certificate {path}", why=read.message))
        else:
            found.append(("this machine", str(path), read))
    admin = caught(partial(kubeconfig.client_certificate, settings.admin_kubeconfig))
    if isinstance(admin, ScalerError):
        unknown.append(Unknown(what=f"certificate in {settings.admin_kubeconfig}", why=admin.message))
    elif admin:
        found.append(("this machine", str(settings.admin_kubeconfig), admin))
    return found, unknown


def _differences(
    cluster: Cluster,
    looks: Mapping[str, HostLook],
    balancers: Iterable[BalancerSeen],
    nodes: tuple[Any, ...] | None,
) -> list[str]:
    """Compare the sets that were told, by the same table as a change does; one that was not told is not compared."""
    by_url = {client_url(host): host.name for host in cluster.hosts().values()}
    told = [look.members for look in looks.values() if not isinstance(look.members, ScalerError) and look.health == ""]
    members: tuple[Member, ...] = told[0] if told else ()
    rows = []
    if members:
        voters = [
            by_url.get(m.client_urls[0], m.called) if m.client_urls else m.called for m in members if not m.learner
        ]
        rows.append(_row("etcd's voters", voters, of_etcd=True))
    for master in cluster.masters:
        running = looks[master.name].running
        if not isinstance(running, ScalerError) and running.etcd_servers is not None:
            names = [by_url.get(url, url) for url in running.etcd_servers]
            rows.append(_row(f"etcd list of {master.name}", names, of_etcd=True))
    rows.append(_row("etcd in the inventory", [host.name for host in cluster.etcd], of_etcd=True))
    rows.append(_row("masters in the inventory", [host.name for host in cluster.masters]))
    rows += [
        _row(f"backends of {b.name}", [each.name for each in b.backends]) for b in balancers if b.backends is not None
    ]
    if nodes is not None:
        labelled = [node.name for node in nodes if any(role in node.roles for role in _CONTROL_PLANE)]
        rows.append(_row("nodes with the role", labelled))
    return Table(rows=tuple(rows), learners=sum(m.learner for m in members)).differences()


def _row(title: str, names: Iterable[str], *, of_etcd: bool = False) -> Row:
    return Row(title=title, hosts=tuple(sorted(set(names))), of_etcd=of_etcd)


def unfinished(cluster: str) -> tuple[RunSeen, ...]:
    """Return the runs on this cluster, as this machine's journals have them, that are unfinished or go on now."""
    everything = history.runs(cluster)
    left = {run.name for run in history.unfinished(everything)}
    return tuple(
        RunSeen(run=run.name, change=run.change, hosts=run.hosts, began=run.began, running=run.going)
        for run in everything
        if run.going or run.name in left
    )
