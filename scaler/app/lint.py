"""Judge how living hosts, or a file alone, are set up, by what the versions of Kubernetes know; nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.checks import lint, masters, units
from scaler.checks.lint import LintFinding, Subject
from scaler.errors import InputError, PartialError, PreflightError, ScalerError, UnreachableError
from scaler.gateways.ssh import on_each
from scaler.model import versions
from scaler.model.components import Component, Machine, Text
from scaler.model.version_facts import facts
from scaler.plan import components, skew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Cluster, Host

_OF_KUBERNETES = frozenset(components.NAMES) - {"etcd", "containerd"}


class Looked(NamedTuple):
    """What was found of each component; ``away`` are the hosts that could not be asked, and why."""

    target: str
    judged: dict[str, tuple[Component, ...]]
    findings: tuple[LintFinding, ...]
    away: dict[str, str]

    def now(self, finding: LintFinding) -> bool:
        """Tell whether ``finding`` is about what is there now, not about a later version."""
        return any(finding.at == c.version for c in self.judged[finding.host] if c.name == finding.component)


def choose(cluster: Cluster, names: Sequence[str]) -> tuple[Host, ...]:
    """Return the hosts that are meant, all that the cluster runs on where none is named."""
    known = cluster.hosts()
    for name in names:
        if name not in known:
            raise InputError(f"{name} is not in {cluster.hosts_file}")
    every = {host.name: host for host in (*cluster.masters, *cluster.etcd, *cluster.workers)}
    return tuple(known[name] for name in dict.fromkeys(names)) if names else tuple(every.values())


def target_is_known(target: str) -> None:
    """Refuse a version to get ready for that the table does not reach."""
    if target and not versions.supported(target):
        raise InputError(f"--for {target} is not one of 1.20 to 1.37")


def look(cluster: Cluster, ssh: Ssh, hosts: Sequence[Host], *, target: str, progress: Callable[[str], None]) -> Looked:
    """Read the units and files of ``hosts`` at once and judge them, now and at ``target`` or the next minor."""
    progress(f"reading {', '.join(host.name for host in hosts)}")
    seen = on_each(hosts, lambda host: units.look(ssh, host))
    away = {name: told.message for name, told in seen.items() if isinstance(told, ScalerError)}
    wanted = cluster.settings.kubernetes_version
    findings, judged = list[LintFinding](), dict[str, tuple[Component, ...]]()
    for name, told in seen.items():
        if isinstance(told, ScalerError):
            continue
        judged[name] = tuple(_component(unit, cluster) for unit in told.units)
        for component in judged[name]:
            findings += judge(name, component, target=target, kubernetes=wanted, machine=told.machine)
    findings += _beside_each_other(judged)
    findings += _masters_alike(ssh, hosts, judged, away)
    return Looked(target, judged, tuple(findings), away)


def _component(unit: units.Unit, cluster: Cluster) -> Component:
    settings = cluster.settings
    supposed = {"etcd": settings.etcd_version, "containerd": settings.containerd_version or ""}
    return components.of_unit(
        unit.component,
        unit.files,
        environment=unit.environment,
        configs=unit.configs,
        argv=unit.argv,
        version=unit.version or supposed.get(unit.component, settings.kubernetes_version),
        running=unit.running,
    )


def look_at_file(path: Path, name: str, *, target: str) -> Looked:
    """Judge a file alone at version ``target``."""
    if not target:
        raise InputError("a file alone does not say which version it is for", hint="say --for VERSION")
    try:
        text = Text(path=str(path), text=path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{path} cannot be read: {getattr(e, 'strerror', None) or e}") from e
    component = components.of_file(text, name)
    if component is None:
        raise InputError(
            f"{path} does not say whose it is", hint=f"say --component, one of {', '.join(components.NAMES)}"
        )
    if component.name not in components.NAMES:
        raise InputError(f"--component {component.name} is none of {', '.join(components.NAMES)}")
    at = target if component.name in _OF_KUBERNETES else (versions.newest_row(facts().etcd_default, target) or "")
    if component.name == "containerd":
        at = versions.containerd_bounds(target)[0] or ""
    subject = Subject(component, at, at, target)
    judged = component.model_copy(update={"version": at})
    return Looked(target, {"": (judged,)}, tuple(lint.examine("", subject)), {})


def judge(
    host: str, component: Component, *, target: str, kubernetes: str, machine: Machine | None = None
) -> list[LintFinding]:
    """Return what is wrong with ``component`` now, and what else will be at ``target``, or at the next minor."""
    now = component.version
    found = lint.examine(host, Subject(component, now, now, kubernetes, machine))
    known = {finding.key for finding in found}
    later = _later(component.name, now, target)
    if later:
        subject = Subject(component, later, now, target or kubernetes, machine)
        found += [finding for finding in lint.examine(host, subject) if finding.key not in known]
    return found


def _later(name: str, now: str, target: str) -> str:
    """Return the version that a component will have; empty where that is this one or is not known."""
    if name == "containerd":
        return ""
    wanted = target or versions.next_minor(now)
    if name == "etcd":
        wanted = (versions.newest_row(facts().etcd_default, target) or "") if target else wanted
    elif not target and not versions.supported(wanted):
        return ""
    return wanted if versions.minor(wanted) > versions.minor(now) else ""


def _beside_each_other(judged: dict[str, tuple[Component, ...]]) -> Iterator[LintFinding]:
    """Judge the versions that run now against each other."""
    every = [(host, component) for host, told in judged.items() for component in told]
    servers = [c.running or c.version for _, c in every if c.name == "kube-apiserver"]
    for host, component in every:
        told = list[str]()
        if component.name == "kube-apiserver" and component is next(c for _, c in every if c.name == component.name):
            told += skew.of_apiservers(servers)
        elif component.name in _OF_KUBERNETES - {"kube-apiserver"}:
            told += skew.beside_apiservers(component.name, component.version, servers)
        if component.name == "kube-proxy":
            kubelet = next((c.version for c in judged[host] if c.name == "kubelet"), "")
            told += skew.beside_kubelet(component.version, kubelet)
        for message in told:
            yield _of_hosts(host, component, "skew", message)
        if component.running and component.running != component.version:
            message = f"{component.name} runs {component.running}, a restart would run {component.version}"
            yield _of_hosts(host, component, "skew", message, error=False)


def _masters_alike(
    ssh: Ssh, hosts: Sequence[Host], judged: Mapping[str, Sequence[Component]], away: dict[str, str]
) -> Iterator[LintFinding]:
    """Compare how masters run with the first: a token that one API server signs, all of them have to believe.

    A master that cannot be asked is added to ``away``; one whose API server does not run is passed over.
    """
    among = [host for host in hosts if any(each.name == masters.APISERVER for each in judged.get(host.name, ()))]
    running = dict[str, masters.MasterFacts]()
    for name, told in (on_each(among, lambda host: masters.look(ssh, host)) if among[1:] else {}).items():
        if isinstance(told, ScalerError):
            away[name] = told.message
        elif masters.APISERVER in told.components:
            running[name] = told
    names = list(running)
    for name in names[1:]:
        first = names[0]
        for message in masters.differences(running[name], running[first]):
            component = next(each for each in judged[name] if message.startswith(f"{each.name} "))
            instead = f"what {first} has, or change that first: scaler adds no master beside such a difference"
            yield _of_hosts(name, component, "alike", f"{message} ({first})", instead=instead)


def _of_hosts(
    host: str, component: Component, check: str, message: str, *, instead: str = "", error: bool = True
) -> LintFinding:
    """Return what shows only beside other components, at the version of now."""
    place = component.place
    return LintFinding(
        host=host,
        component=component.name,
        check=check,
        file=place.file,
        line=place.line,
        message=message,
        instead=instead,
        error=error,
        at=component.version,
    )


def error(looked: Looked) -> ScalerError | None:
    """Return what the command ends with: None where nothing keeps a component from starting, now or at --for."""
    wrong = [f for f in looked.findings if f.error and (looked.target or looked.now(f))]
    if looked.away and not looked.judged:
        return UnreachableError(
            "no host could be looked at: " + "; ".join(looked.away.values()), hint="check this machine's network first"
        )
    if wrong:
        count = "1 error" if len(wrong) == 1 else f"{len(wrong)} errors"
        return PreflightError(
            f"{count} in how the components are set up", hint="each is told with what to write instead"
        )
    if looked.away:
        return PartialError(
            f"{', '.join(looked.away)} could not be looked at; the others are clean",
            hint="; ".join(looked.away.values()),
        )
    return None
