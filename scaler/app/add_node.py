"""Add workers to a cluster."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, NamedTuple

from scaler.app import networks, preflight
from scaler.app.networks import Looked
from scaler.checks.preflight.system import ARCHITECTURES
from scaler.errors import InputError, IntegrityError, PreflightError
from scaler.gateways import kube, kubeconfig
from scaler.gateways.process import run
from scaler.gateways.store import Binary
from scaler.gateways.threads import Threads
from scaler.model import versions
from scaler.plan.recipes import add_node
from scaler.plan.recipes.add_node import Standing
from scaler.steps.base import worker_binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from scaler.app.session import Session
    from scaler.checks.preflight import Finding
    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import ClusterState
    from scaler.plan.plan import Plan


GROUPS = ("masters", "etcd", "loadbalancers", "workers", "standby")
OWN_GROUP = {"worker": "workers", "master": "masters", "etcd member": "etcd"}


class Prepared(NamedTuple):
    """A plan, the findings of its preflight, and the hosts that were refused (with ``keep_going``)."""

    plan: Plan
    findings: tuple[Finding, ...]
    refused: dict[str, str]


class Examined(NamedTuple):
    """What each host is to the cluster, what was found about those that are not there yet, and how it all lives."""

    stands: Mapping[str, Standing]
    findings: tuple[Finding, ...]
    living: Looked = Looked()

    def of(self, names: Collection[str]) -> tuple[Finding, ...]:
        """Return what was found about the hosts called ``names``."""
        return tuple(finding for finding in self.findings if finding.host in names)


def choose(cluster: Cluster, names: Sequence[str], new: Sequence[Host], *, to_be: str = "worker") -> tuple[Host, ...]:
    """Return the hosts that the operator means, by inventory name or given whole; refuse those with another duty."""
    known, chosen = cluster.hosts(), []
    for name in names:
        if name not in known:
            candidates = ", ".join(host.name for host in cluster.standby) or "none"
            raise InputError(
                f"{name} is not in {cluster.hosts_file}",
                hint=f"hosts on standby: {candidates}; or give an address with --name",
            )
        chosen.append(known[name])
    for host in new:
        owner = next((other for other in known.values() if other.address == host.address), None)
        if owner and owner.name != host.name:
            raise InputError(f"address {host.address} is {owner.name}'s in {cluster.hosts_file}")
        if host.name in known and known[host.name].address != host.address:
            raise InputError(f"{host.name} is in {cluster.hosts_file} with address {known[host.name].address}")
        chosen.append(host)
    _each_once(chosen)
    for host in chosen:
        # A load balancer may well stand on a master, where the inventory has the host on standby too.
        waits = to_be == "master" and any(host.name == other.name for other in cluster.standby)
        idle = {"standby", "loadbalancers"} if waits else {"standby"}
        duties = [g for g in GROUPS if g not in idle and any(host.name == o.name for o in getattr(cluster, g))]
        a = "an" if to_be.startswith("etcd") else "a"
        # One that is what it is to become already is told so later, where the cluster has been looked at.
        if duties and OWN_GROUP[to_be] not in duties:
            raise InputError(
                f"{host.name} is one of the {duties[0]} in {cluster.hosts_file}; it cannot become {a} {to_be}",
                hint="" if duties != ["workers"] else "take it out of the workers first, or choose a host on standby",
            )
        if to_be == "worker" and len(duties) > 1:
            raise InputError(
                f"{host.name} is one of the {duties[0]} in {cluster.hosts_file}; it cannot become a worker"
            )
    return tuple(chosen)


def _each_once(hosts: Sequence[Host]) -> None:
    for attribute in ("name", "address"):
        seen = [getattr(host, attribute) for host in hosts]
        twice = next((value for value in seen if seen.count(value) > 1), None)
        if twice:
            raise InputError(f"{attribute} {twice} is given twice")


def prepare(session: Session, hosts: Sequence[Host], *, keep_going: bool, progress: Callable[[str], None]) -> Prepared:
    """Read the cluster, examine the new hosts, and return the plan; nothing is changed.

    Raises PreflightError with all findings of all hosts, unless ``keep_going`` and some hosts are fit.
    """
    cluster = session.cluster
    progress(f"reading cluster {cluster.name}")
    state = kube.look(session.kube)
    versions_agree(cluster, state)
    examined = examine(session, hosts, state, progress)
    candidates = [host for host in hosts if examined.stands[host.name] is not Standing.PRESENT]
    findings = examined.findings
    refused: dict[str, str] = {}
    for f in findings:
        if not f.warning:
            refused[f.host] = "; ".join([*filter(None, [refused.get(f.host)]), f"{f.check}: {f.message}"])
    if refused and (not keep_going or set(refused) >= {host.name for host in candidates}):
        raise PreflightError(told(findings), hint="nothing was touched" + _only_some(refused, candidates))
    fit = [host for host in hosts if host.name not in refused]
    planning = planned(session, state, fit, findings, examined.living)
    return Prepared(planning, tuple(findings), refused)


def planned(
    session: Session, state: ClusterState, hosts: Sequence[Host], findings: Sequence[Finding], living: Looked
) -> Plan:
    """Return the plan that adds ``hosts``, which are fit, with what was found about them and about the network."""
    warnings = [*living.warnings, *(f"{f.host}: {f.message}" for f in findings if f.warning)]
    return add_node.plan(session.cluster, state, hosts, warnings=warnings, living=living.living)


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing; one unfit host refuses all."""
    return prepare(session, plan.hosts, keep_going=False, progress=progress).plan


def examine(session: Session, hosts: Sequence[Host], state: ClusterState, progress: Callable[[str], None]) -> Examined:
    """Verify the binaries, read the network, and probe the hosts that are not there yet; all at once."""
    cluster = session.cluster
    stands = {host.name: add_node.standing(host, cluster, state) for host in hosts}
    candidates = [host for host in hosts if stands[host.name] is not Standing.PRESENT]
    if not candidates:
        return Examined(stands, ())
    with Threads(2) as pool:
        verified = pool.submit(_binaries_are_right, session, progress)
        living = pool.submit(networks.look, session, state, without=[host.name for host in candidates])
        progress(f"examining {', '.join(host.name for host in candidates)}")
        endpoints = [cluster.settings.api_endpoint, *(f"{master.address}:6443" for master in cluster.masters)]
        authority = kubeconfig.read(cluster.settings.admin_kubeconfig).ca
        findings = preflight.look(session, candidates, state, ca=authority, endpoints=endpoints, living=living.result)
        verified.result()
    fit = tuple(f for f in findings if not (_adopted(stands, f) and f.check in preflight.RUNNING))
    return Examined(stands, fit, living.result())


def _binaries_are_right(session: Session, progress: Callable[[str], None]) -> None:
    """Verify the digests of what a worker gets, and that the kubelet says the version it is filed under."""
    settings = session.cluster.settings
    session.store.verify(worker_binaries(settings), progress)
    kubelet = Binary("kubernetes", settings.kubernetes_version, settings.kubernetes_arch, "kubelet")
    if ARCHITECTURES.get(platform.machine()) == settings.kubernetes_arch:
        said = run([str(session.store.path(kubelet)), "--version"]).out.strip()
        if not said.endswith(f" v{settings.kubernetes_version}"):
            raise IntegrityError(f"{kubelet.path} says {said!r}", hint="put the right file into the store")


def _adopted(stands: Mapping[str, Standing], finding: Finding) -> bool:
    """Tell whether the finding is about a host that is a node already: it has a kubelet's files and ports by right."""
    return stands[finding.host] is Standing.ADOPTED


def versions_agree(cluster: Cluster, state: ClusterState) -> None:
    """Refuse a kubelet that the cluster's API servers would not take."""
    wanted = cluster.settings.kubernetes_version
    if not versions.kubelet_may_join(wanted, state.server_version):
        raise PreflightError(
            f"the inventory's kubernetes_version {wanted} does not fit the cluster's API server {state.server_version}",
            hint="a kubelet is never newer than the API server, and at most 2 minors older (3 from 1.28 on)",
        )


def told(findings: Sequence[Finding]) -> str:
    """Return the findings for a person, a line each."""
    lines = []
    for finding in findings:
        mark = "warning" if finding.warning else "refused"
        remedy = f" → {finding.remedy}" if finding.remedy else ""
        message = finding.message.removeprefix(f"{finding.host}: ")
        lines.append(f"{finding.host}: {mark}: {finding.check}: {message}{remedy}")
    return "\n".join(lines)


def _only_some(refused: dict[str, str], candidates: Sequence[Host]) -> str:
    fit = [host.name for host in candidates if host.name not in refused]
    return f"; --keep-going would add the others: {', '.join(fit)}" if fit else ""
