"""The host below a component: its kernel and the version of its cgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import parts, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.components import Machine


def _look(subject: Subject) -> Iterator[Told]:
    machine, place = subject.machine, subject.component.place
    if machine is None:
        return
    if subject.component.name == "kubelet":
        since = facts().cgroup_v1["maintenance"]
        if machine.cgroup == 1 and reached(subject.at, since):
            message = f"the host has cgroup v1, which is only kept alive from {since} on"
            yield Told(message, place, since, "systemd.unified_cgroup_hierarchy=1 at boot", True)
        yield from _kernel(subject, machine, mode="")
    mode = subject.component.value("proxy-mode", "mode")
    if subject.component.name == "kube-proxy" and mode:
        yield from _kernel(subject, machine, mode=mode.value)


def _kernel(subject: Subject, machine: Machine, *, mode: str) -> Iterator[Told]:
    for row in facts().kernels:
        if row.mode != mode or not reached(subject.at, row.since) or row.cgroup not in {None, machine.cgroup}:
            continue
        if parts(machine.kernel) and parts(machine.kernel) < parts(row.below):
            yield Told(
                f"kernel {machine.kernel}: {row.why}",
                subject.component.place,
                row.since,
                f"kernel {row.below} or newer",
                row.effect != "fatal",
            )


CHECK = Check("host", _look)
