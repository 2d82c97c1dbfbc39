"""A cluster's status for a person: one screen for a cluster of usual size, what is not well at the end."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from scaler.plan.health import FULL, URGENT, WARN
from scaler.plan.quorum import quorum

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from rich.console import RenderableType

    from scaler.model.status import BalancerSeen, MasterSeen, MemberSeen, NodeSeen, Status
    from scaler.plan.health import Problem

GOOD, BAD, DOUBT = "green", "red", "yellow"
# More nodes than that, and those that are well are only counted.
MANY = 24
_MIB = 1 << 20
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def text(screen: RenderableType) -> str:
    """Return a screen as text without colours, for whoever reads along in a pipe."""
    told = io.StringIO()
    Console(file=told, highlight=False, width=120).print(screen, crop=False)
    return told.getvalue()


def view(status: Status, problems: Sequence[Problem]) -> Group:
    """Return the whole screen."""
    return Group(*_parts(status, problems))


def _parts(status: Status, problems: Sequence[Problem]) -> Iterator[RenderableType]:
    yield _head(status)
    tables = [_nodes(status, status.nodes)] if status.nodes is not None else []
    tables.append(_control_plane(status))
    tables += [_balancers(status)] if status.balancers else []
    for title, table in tables:
        yield Text("")
        yield Text(title, "bold")
        yield table
    yield Text("")
    yield from _lines(status)
    yield from _problems(problems)


def _head(status: Status) -> Text:
    head = Text.assemble((f"cluster {status.cluster}", "bold"), f"  {status.at:%Y-%m-%d %H:%M:%S} UTC  API ")
    head.append(status.endpoint + " ")
    head.append("answers" if status.api else "does not answer", GOOD if status.api else BAD)
    if status.told_by:
        head.append(f" (asked {status.told_by} instead)", DOUBT)
    if status.version:
        head.append(f"  Kubernetes {status.version}")
    return head


def _grid(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _nodes(status: Status, nodes: tuple[NodeSeen, ...]) -> tuple[str, Table]:
    ready = sum(node.ready for node in nodes)
    table = _grid("node", "state", "roles", "kubelet", "runtime", "pods", "age")
    unwell = [node for node in nodes if not node.ready or node.cordoned]
    shown = sorted(nodes, key=lambda n: n.name) if len(nodes) <= MANY else unwell[:MANY]
    for node in shown:
        state = Text("Ready", GOOD) if node.ready else Text("not Ready", BAD)
        if node.cordoned:
            state.append(", cordoned", DOUBT)
        age = _span(status.at - node.created) if node.created else ""
        roles = ",".join(node.roles) or "-"
        table.add_row(node.name, state, roles, node.version, node.runtime, node.pod_cidr, age)
    if len(shown) < len(nodes):
        table.add_row(f"… and {len(nodes) - len(shown)} more", "", "", "", "", "", "")
    return f"nodes: {ready} of {len(nodes)} Ready", table


def _control_plane(status: Status) -> tuple[str, Table]:
    """Show each master and its member of etcd in one line; members on hosts of their own have theirs below."""
    voters = status.etcd.voters
    healthy = sum(m.healthy is True for m in voters)
    title = f"masters {sum(m.ready for m in status.masters)} of {len(status.masters)} ready; "
    title += f"etcd {healthy} of {len(voters)} voters healthy, quorum {quorum(len(voters))}"
    title += f", leader {status.etcd.leader}" if status.etcd.leader else ", no leader known"
    table = _grid("host", "API server", "etcd list", "etcd", "version", "db", "term", "behind")
    members = {member.name: member for member in status.etcd.members}
    named = {member.url: member.name for member in status.etcd.members}
    for master in status.masters:
        table.add_row(master.name, *_master(master, named), *_member(members.pop(master.name, None)))
    for name, member in members.items():
        table.add_row(name, "", "", *_member(member))
    return title, table


def _master(master: MasterSeen, named: dict[str, str]) -> tuple[Text, str]:
    state = Text(f"ready {master.version}", GOOD) if master.ready else Text("not ready", BAD)
    servers = master.etcd_servers
    listed = "not known" if servers is None else ",".join(named.get(url, url) for url in servers)
    return state, listed


def _member(member: MemberSeen | None) -> tuple[Text | str, ...]:
    if member is None:
        return "", "", "", "", ""
    state = {True: Text("healthy", GOOD), False: Text("not healthy", BAD), None: Text("not known", DOUBT)}[
        member.healthy
    ]
    for word in ("leader" if member.leader else "", "learner" if member.learner else "", *member.alarms):
        if word:
            state.append(f", {word}", BAD if word in member.alarms else "bold")
    if not member.db_bytes:
        return state, member.version, "", "", ""
    size = Text(f"{member.db_bytes / _MIB:.0f} MiB ({member.full:.0%})", BAD if member.full > FULL else "")
    return state, member.version, size, str(member.term), str(member.lag)


def _balancers(status: Status) -> tuple[str, Table]:
    table = _grid("balancer", "backends", *(["VIP"] if status.vip else []))
    for balancer in status.balancers:
        vip = {True: "holds it", False: "", None: "not known"}[balancer.vip]
        table.add_row(balancer.name, _backends(balancer), *([vip] if status.vip else []))
    if status.balancers_left:
        table.add_row(f"… {status.balancers_left} more were not asked")
    return "load balancers" + (f", VIP {status.vip}" if status.vip else ""), table


def _backends(balancer: BalancerSeen) -> Text:
    if balancer.backends is None:
        return Text(f"not known: {balancer.why}", DOUBT)
    told = Text()
    for backend in balancer.backends:
        told.append(f"{backend.name} {'up' if backend.up else 'down'}  ", GOOD if backend.up else BAD)
    return told if balancer.backends else Text("none", BAD)


def _lines(status: Status) -> Iterator[Text]:
    yield _line("network", f"CNI {status.cni}; kube-proxy {_proxy(status)}")
    yield _line("DNS", _dns(status))
    if status.workloads:
        told = [f"{w.name} {w.ready}/{w.wanted}" for w in status.workloads]
        yield _line("kube-system", ", ".join(told))
    yield _certificates(status)
    for run in status.runs:
        what = "goes on now" if run.running else "is unfinished"
        yield _line("run", f"{run.run} {run.change} {' '.join(run.hosts)} {what}", "" if run.running else BAD)
    if status.lock is not None:
        yield _line("lock", status.lock.sentence)
    if status.lease is not None and status.lease.holder:
        over = status.lease.expired(status.at)
        words = f"{status.lease.holder}{_since(status.lease.acquired)}{', expired' if over else ''}"
        yield _line("lease", words, DOUBT if over else "")


def _line(what: str, told: str, style: str = "") -> Text:
    return Text.assemble((f"{what:<13}", "bold"), (told, style))


def _proxy(status: Status) -> str:
    modes: dict[str, list[str]] = {}
    for host, told in status.proxy.items():
        modes.setdefault(told, []).append(host)
    return "; ".join(f"{told} ({', '.join(hosts)})" for told, hosts in modes.items()) or "not known"


def _dns(status: Status) -> str:
    if status.dns is None:
        return "not known"
    if not status.dns.service:
        return "no Service at cluster_dns"
    return f"Service {status.dns.service}, {status.dns.endpoints} addresses behind it"


def _certificates(status: Status) -> Text:
    if not status.certificates:
        return _line("certificates", "not known", DOUBT)
    first = status.certificates[0]
    left = first.left(status.at)
    soon = sum(each.left(status.at) < WARN for each in status.certificates)
    style = BAD if left < URGENT else DOUBT if left < WARN else ""
    told = f"{len(status.certificates)} seen; {soon or 'none'} end within {WARN.days} days; "
    return _line("certificates", told + f"first: {first.what} of {first.host} in {left.days} days", style)


def _problems(problems: Sequence[Problem]) -> Iterator[Text]:
    yield Text("")
    if not problems:
        yield Text("everything is well", f"bold {GOOD}")
    for problem in problems:
        style = DOUBT if problem.warning else BAD
        yield Text.assemble(("! " if problem.warning else "✗ ", style), (problem.message, style))
        yield Text(f"  next: {problem.next}")


def _since(then: datetime | None) -> str:
    return f", since {then:%Y-%m-%d %H:%M:%S} UTC" if then else ""


def _span(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{seconds // size}{unit}"
