"""The container runtime is one this kubelet can talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.model import systems, versions
from scaler.model.version_facts import facts

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    settings = subject.cluster.settings
    distribution = settings.runtime_source == "distribution"
    version = subject.facts.containerd if distribution else settings.containerd_version or ""
    if not version:
        install = systems.of(subject.facts.os_id).install_command("containerd")
        yield Told("containerd is not installed", f"{install}; or set runtime_source: store")
        return
    if not versions.parts(version):
        yield Told("containerd --version does not say a version", "see whether containerd runs there at all")
        return
    refused = list(_out_of_bounds(settings.kubernetes_version, version, distribution=distribution))
    yield from refused or _not_quite(subject, version, distribution=distribution)


def _out_of_bounds(kubelet: str, version: str, *, distribution: bool) -> Iterator[Told]:
    least, below = versions.containerd_bounds(kubelet)
    if least and versions.parts(version) < versions.parts(least):
        yield Told(
            f"containerd {version} is too old for kubelet {kubelet}, {least} is needed",
            "upgrade it" if distribution else "set another containerd_version",
        )
    if below and versions.parts(version) >= versions.parts(below):
        yield Told(
            f"containerd {version} is too new for kubelet {kubelet}: it must be below {below}",
            "install an older one, or set runtime_source: store" if distribution else "set another containerd_version",
        )


def _not_quite(subject: Subject, version: str, *, distribution: bool) -> Iterator[Told]:
    """Judge patches, the form of containerd's file, and runc where it is known."""
    settings = subject.cluster.settings
    first = versions.containerd_of_line(settings.kubernetes_version, version)
    if first and versions.parts(version) < versions.parts(first):
        yield Told(
            f"containerd {version} is older than {first}, the first of its line that upstream names for kubelet "
            f"{settings.kubernetes_version}",
            "upgrade it" if distribution else "set another containerd_version",
            warning=True,
        )
    said = settings.containerd_version or ""
    if distribution and versions.reached(version, "2.0") != versions.reached(said, "2.0"):
        yield Told(
            f"containerd is {version}, and containerd_version is {said or 'not said'}: its file would be in the "
            "other's form",
            f"set containerd_version: {'.'.join(map(str, versions.parts(version)[:3]))}",
            # An old form is read by a new containerd; a new one is not read by an old.
            warning=versions.reached(version, "2.0"),
        )
    runc = versions.parts(settings.runc_version or "") if not distribution else ()
    if runc and subject.facts.cgroup > 1 and runc < versions.parts(facts().runc_min_on_cgroup_v2):
        yield Told(
            f"runc {settings.runc_version} does not know the host's cgroup v2 well enough",
            f"set runc_version to {facts().runc_min_on_cgroup_v2} or newer",
        )


CHECK = Check("runtime", _look, of_nodes=True)
