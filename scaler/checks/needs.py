"""Whether a host has what something needs of it: modules, programs, kernel, ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Told
from scaler.model import systems, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.checks.preflight import Subject
    from scaler.model.network import Needs

# Their kernels are called old and have much of newer ones.
_BACKPORTED = {"rhel", "centos", "rocky", "almalinux", "ol", "openeuler", "kylin"}


def missing(subject: Subject, program: str, why: str, *, warning: bool = False) -> Iterator[Told]:
    """Tell that ``program`` is not installed, and how its package is; where programs were not asked for, nothing."""
    facts, system = subject.facts, systems.of(subject.facts.os_id)
    if facts.programs is not None and program not in facts.programs:
        known = program in system.packages
        remedy = system.install_command(program) if known else "install the distribution's package"
        yield Told(f"{program} is not installed, {why}", remedy, warning)


def lacking(subject: Subject, needs: Needs) -> Iterator[Told]:
    """Tell what ``needs`` names and the host has not."""
    facts = subject.facts
    for module, what in needs.modules.items():
        match facts.modules.get(module, "unknown"):
            case "absent":
                yield Told(
                    f"its kernel has no {module}, which {what} needs",
                    f"install the kernel's modules (modprobe {module} must work), or another kernel",
                )
            case "unknown":
                yield Told(
                    f"whether its kernel has {module} cannot be seen, which {what} needs",
                    f"try modprobe {module} there",
                    warning=True,
                )
    for program, what in needs.programs.items():
        yield from missing(subject, program, f"which {what} needs")
    if needs.kernel and versions.parts(facts.kernel) < versions.parts(needs.kernel):
        yield Told(
            f"its kernel is {facts.kernel}, {needs.kernel} is needed by {needs.kernel_for}",
            "boot a newer kernel",
            warning=facts.os_id in _BACKPORTED,
        )
    for unit, what in needs.rivals.items():
        if unit in facts.active:
            yield Told(f"{unit} runs there: {what}", f"systemctl disable --now {unit} there")
    for listener in facts.listeners:
        if listener.port in needs.ports and not (subject.ours and listener.process == "bird"):
            yield Told(
                f"port {listener.port} ({needs.ports[listener.port]}) is taken by {listener.process}",
                f"stop {listener.process} there",
            )
