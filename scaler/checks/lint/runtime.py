"""The container runtime beside the kubelet: CRI and containerd's bounds on both sides, its own file's words, runc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model import versions
from scaler.model.version_facts import facts

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    if subject.component.name == "kubelet" and subject.machine:
        yield from _beside(subject)
    if subject.component.name == "containerd":
        yield from _own_file(subject)


def _beside(subject: Subject) -> Iterator[Told]:
    place, machine = subject.component.place, subject.machine
    containerd = machine.containerd if machine else ""
    endpoint = subject.component.value("container-runtime-endpoint", "containerRuntimeEndpoint")
    if machine is None or not versions.parts(containerd) or (endpoint and "containerd" not in endpoint.value):
        return
    least, below = versions.containerd_bounds(subject.at)
    if least and versions.parts(containerd) < versions.parts(least):
        message = f"containerd {containerd} is older than this kubelet is known to run with"
        yield Told(message, place, instead=f"containerd {least} or newer")
    elif below and versions.parts(containerd) >= versions.parts(below):
        message = f"containerd {containerd} no longer speaks CRI v1alpha2, the only one of this kubelet"
        yield Told(message, place, instead=f"containerd below {below}")
    else:
        first = versions.containerd_of_line(subject.at, containerd)
        if first and versions.parts(containerd) < versions.parts(first):
            message = f"containerd {containerd} has newer patches that upstream names for this kubelet"
            yield Told(message, place, instead=f"containerd {first} or newer", warning=True)
    least = facts().runc_min_on_cgroup_v2
    if machine.cgroup > 1 and versions.parts(machine.runc) and versions.parts(machine.runc) < versions.parts(least):
        message = f"runc {machine.runc} does not know cgroup v2 well enough"
        yield Told(message, place, instead=f"runc {least} or newer")


def _own_file(subject: Subject) -> Iterator[Told]:
    rows = facts().kinds["containerd"].fields
    for file in subject.component.files:
        told = set[str]()
        for field in file.fields:
            name = f"version {field.value}" if field.name == "version" else field.name
            # A table's name has its plugin's before it, and may have a registry's behind it.
            known = next((known for known in rows if f".{known}." in f".{name}."), "")
            if not known or known in told:
                continue
            told.add(known)
            row, name = rows[known], known
            if row.since and not versions.reached(subject.at, row.since):
                yield Told(
                    f"{name} is known to containerd from {row.since} on only", field.place, row.since, row.instead
                )
            elif versions.reached(subject.at, row.removed):
                yield Told(f"{name} is gone from containerd {row.removed} on", field.place, row.removed, row.instead)
            elif versions.reached(subject.at, row.deprecated):
                message = f"{name} is deprecated since containerd {row.deprecated}"
                yield Told(message, field.place, row.deprecated, row.instead, True)


CHECK = Check("runtime", _look)
