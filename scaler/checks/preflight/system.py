"""The operating system is one the binaries run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.model import systems, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What Ansible 2.19 needs on a managed host.
_PYTHON = (3, 8)


def _look(subject: Subject) -> Iterator[Told]:
    facts, settings = subject.facts, subject.cluster.settings
    if ARCHITECTURES.get(facts.arch) != settings.kubernetes_arch:
        yield Told(f"is {facts.arch}, the cluster's binaries are {settings.kubernetes_arch}", "use a host that fits")
    said = f"{facts.os_id or 'unknown'} {facts.os_version}".strip()
    family, told = systems.family(facts.os_id), str(subject.host.variables.get("operating_system", systems.DEFAULT))
    if not family:
        yield Told(
            f"runs {said}, whose package names and paths scaler does not know; {told}'s are used",
            "set operating_system to the one it is most like",
            warning=True,
        )
    elif family != told:
        yield Told(
            f"runs {said}, and its operating_system is {told}: paths may be others",
            f"set operating_system: {family} for it",
            warning=True,
        )
    if not facts.systemd:
        yield Told("does not run systemd", "use a host with systemd")
    if versions.parts(facts.python)[:2] < _PYTHON:
        yield Told(
            f"has Python {facts.python}, 3.8 is needed", "install a newer one and set ansible_python_interpreter"
        )


CHECK = Check("system", _look)
