"""The container runtime is one this kubelet can talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.model import versions

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    settings = subject.cluster.settings
    distribution = settings.runtime_source == "distribution"
    version = subject.facts.containerd if distribution else settings.containerd_version or ""
    if not version:
        yield Told("containerd is not installed", "install the distribution's package, or set runtime_source: store")
        return
    if not versions.parts(version):
        yield Told("containerd --version does not say a version", "see whether containerd runs there at all")
        return
    least, below = versions.containerd_bounds(settings.kubernetes_version)
    if least and versions.parts(version) < versions.parts(least):
        yield Told(
            f"containerd {version} is too old for kubelet {settings.kubernetes_version}, {least} is needed",
            "upgrade it" if distribution else "set another containerd_version",
        )
    if below and versions.parts(version) >= versions.parts(below):
        yield Told(
            f"containerd {version} is too new for kubelet {settings.kubernetes_version}: it must be below {below}",
            "install an older one, or set runtime_source: store" if distribution else "set another containerd_version",
        )


CHECK = Check("runtime", _look, of_nodes=True)
