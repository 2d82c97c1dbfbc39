"""The operating system is one the binaries run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.model import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What Ansible 2.19 needs on a managed host.
_PYTHON = (3, 8)


def _look(subject: Subject) -> Iterator[Told]:
    facts, settings = subject.facts, subject.cluster.settings
    if ARCHITECTURES.get(facts.arch) != settings.kubernetes_arch:
        yield Told(f"is {facts.arch}, the cluster's binaries are {settings.kubernetes_arch}", "use a host that fits")
    if not facts.systemd:
        yield Told("does not run systemd", "use a host with systemd")
    if versions.parts(facts.python)[:2] < _PYTHON:
        yield Told(
            f"has Python {facts.python}, 3.8 is needed", "install a newer one and set ansible_python_interpreter"
        )


CHECK = Check("system", _look)
