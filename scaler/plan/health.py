"""What of a cluster is not well, and what to do next about each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scaler.model import versions
from scaler.model.base import Value
from scaler.plan.quorum import quorum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.status import BalancerSeen, MemberSeen, Status

WARN, URGENT = timedelta(days=30), timedelta(days=7)
# Entries of the log that a member may lag behind: a write or two of every client that is at work.
LAG = 1000
FULL = 0.8


class Problem(Value):
    """One thing that is not well; a ``warning`` alone leaves the cluster fit."""

    message: str
    next: str
    warning: bool = False


def problems(status: Status) -> tuple[Problem, ...]:
    """Return every problem, the worst kinds first: etcd, masters, load balancers, nodes, then the rest."""
    found = [
        *_etcd(status),
        *_masters(status),
        *_balancers(status),
        *_nodes(status),
        *_services(status),
        *_sets(status),
        *_certificates(status),
        *_runs(status),
        *_unknown(status),
    ]
    return tuple(sorted(found, key=lambda problem: problem.warning))


def _etcd(status: Status) -> Iterator[Problem]:
    etcd = status.etcd
    healthy = sum(m.healthy is True for m in etcd.voters)
    needed = quorum(len(etcd.voters))
    if etcd.voters and healthy < needed:
        unasked = sum(m.healthy is None for m in etcd.voters)
        told = f", {unasked} could not be asked" if unasked else ""
        yield Problem(
            message=f"etcd: {healthy} of {len(etcd.voters)} voters are known to be healthy{told}; quorum is {needed}",
            next="bring voters back before anything else; without quorum nothing can be written",
        )
    elif etcd.members and not etcd.leader:
        yield Problem(
            message="etcd: its members name no leader in common", next="journalctl -u etcd on each member's host"
        )
    for member in etcd.members:
        yield from _member(member)


def _member(member: MemberSeen) -> Iterator[Problem]:
    if member.healthy is False:
        yield Problem(
            message=f"etcd: {member.name} is not healthy: {member.why}",
            next=f"systemctl status etcd and journalctl -u etcd on {member.name}",
        )
    for alarm in member.alarms:
        yield Problem(
            message=f"etcd: {member.name} has raised the alarm {alarm}",
            next="etcdctl alarm list; after making room: etcdctl defrag, etcdctl alarm disarm",
        )
    if member.full > FULL:
        yield Problem(
            message=f"etcd: the database of {member.name} takes {member.full:.0%} of its quota",
            next="compact and defragment it (etcdctl compact, etcdctl defrag), or raise quota-backend-bytes",
        )
    if member.lag > LAG:
        yield Problem(
            message=f"etcd: {member.name} is {member.lag} entries behind",
            next=f"look at the disk and the network of {member.name}",
        )


def _masters(status: Status) -> Iterator[Problem]:
    if not status.api:
        yield Problem(
            message=f"the API does not answer through {status.endpoint}: {status.api_why}",
            next="see which load balancer has a master that is up, and which master is ready",
        )
    for master in status.masters:
        if not master.ready:
            yield Problem(
                message=f"master {master.name}: its API server is not ready: {master.why}",
                next=f"systemctl status kube-apiserver and journalctl -u kube-apiserver on {master.name}",
            )
    told = {m.version: m.name for m in status.masters if m.version}
    if len(told) > 1:
        yield Problem(
            message=f"masters run different versions: {', '.join(f'{n} {v}' for v, n in told.items())}",
            next="finish the upgrade",
            warning=True,
        )


def _balancers(status: Status) -> Iterator[Problem]:
    for balancer in status.balancers:
        yield from _balancer(balancer)
    told = [b for b in status.balancers if b.vip is not None]
    holders = [b.name for b in told if b.vip]
    if status.vip and told and len(holders) > 1:
        yield Problem(
            message=f"VIP {status.vip} is on {' and '.join(holders)} at once",
            next="let VRRP through between the load balancers; look for another group with the same router id",
        )
    if status.vip and not holders and len(told) == len(status.balancers) > 0:
        yield Problem(message=f"no load balancer holds VIP {status.vip}", next="systemctl status keepalived on each")


def _balancer(balancer: BalancerSeen) -> Iterator[Problem]:
    if balancer.backends is None:
        return
    if not any(backend.up for backend in balancer.backends):
        why = ", ".join(f"{b.name} ({b.told})" if b.told else b.name for b in balancer.backends)
        yield Problem(
            message=f"load balancer {balancer.name} has no master that is up{': ' if why else ''}{why}",
            next="see why the masters are not ready, or why this host does not reach their port 6443",
        )
        return
    for backend in balancer.backends:
        if not backend.up:
            told = f": {backend.told}" if backend.told else ""
            yield Problem(
                message=f"load balancer {balancer.name}: {backend.name} is down{told}",
                next=f"see whether {backend.name} is ready, then whether {balancer.name} reaches its port 6443",
            )


def _nodes(status: Status) -> Iterator[Problem]:
    for node in status.nodes or ():
        if not node.ready:
            yield Problem(
                message=f"node {node.name} is not Ready: {node.why}",
                next=f"systemctl status kubelet and journalctl -u kubelet on {node.name}",
            )
        if node.cordoned:
            yield Problem(
                message=f"node {node.name} is cordoned",
                next=f"where nobody works on it: kubectl uncordon {node.name}",
                warning=True,
            )
        if node.version and status.version and not versions.kubelet_may_join(node.version, status.version):
            yield Problem(
                message=f"node {node.name}: kubelet {node.version} does not fit API server {status.version}",
                next="a kubelet is never newer than the API server, and at most 2 minors older (3 from 1.28 on)",
            )
    for name in status.missing_nodes:
        yield Problem(
            message=f"{name} is in the inventory, and there is no such Node",
            next=f"scaler add-node {name}, or take it out of the inventory",
        )
    for name in status.foreign_nodes:
        yield Problem(
            message=f"node {name} is not in the inventory", next=f"scaler add-node {name} takes it in", warning=True
        )


def _services(status: Status) -> Iterator[Problem]:
    if status.dns is not None and not status.dns.service:
        yield Problem(
            message="DNS: no Service in kube-system has the address cluster_dns",
            next="deploy CoreDNS with a Service at that address",
            warning=True,
        )
    elif status.dns is not None and not status.dns.endpoints:
        yield Problem(
            message=f"DNS: nothing stands behind Service {status.dns.service}",
            next="kubectl -n kube-system get pods -o wide, and describe those of DNS",
        )
    for each in status.workloads:
        if each.ready < each.wanted:
            yield Problem(
                message=f"{each.kind} {each.name}: {each.ready} of {each.wanted} pods are ready",
                next=f"kubectl -n kube-system describe {each.kind.lower()} {each.name}",
            )


def _sets(status: Status) -> Iterator[Problem]:
    for difference in status.differences:
        yield Problem(
            message=f"sets differ: {difference}",
            next="finish what was begun: repeat the same add command, or see unfinished runs",
        )


def _certificates(status: Status) -> Iterator[Problem]:
    for each in status.certificates:
        left = each.left(status.at)
        if left < WARN:
            over = f"is over since {each.ends:%Y-%m-%d}" if left < timedelta(0) else f"ends in {left.days} days"
            yield Problem(
                message=f"certificate of {each.host}: {each.what} {over}",
                next="renew it and have its component read it again",
                warning=left >= URGENT,
            )


def _runs(status: Status) -> Iterator[Problem]:
    for run in status.runs:
        if not run.running:
            yield Problem(
                message=f"run {run.run} ({run.change} {' '.join(run.hosts)}) is unfinished",
                next=f"scaler runs show {run.run}, then scaler runs resume {run.run} or scaler runs rollback {run.run}",
            )
    if status.lease is not None and status.lease.holder and status.lease.expired(status.at):
        yield Problem(
            message=f"Lease kube-system/scaler of {status.lease.holder} is expired, and nobody gave it back",
            next="see that its run is over, then: scaler unlock --i-checked",
        )


def _unknown(status: Status) -> Iterator[Problem]:
    for each in status.unknown:
        yield Problem(message=f"{each.what}: not known: {each.why}", next=_asking(each.why))


def _asking(why: str) -> str:
    if "SSH" in why:
        return "see whether the host runs and whether SSH reaches it"
    return "remove the reason, then ask again"
