"""Settings that are not there, and whose default another version changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.version_facts import Default


def _counts(subject: Subject, row: Default) -> bool:
    component, machine = subject.component, subject.machine
    if row.component != component.name or not reached(subject.at, row.since):
        return False
    # Half of what is set up may stand in the half that was not given.
    known = bool(component.files or not row.field) if component.flags else bool(row.field and component.files)
    if not known or component.value(row.flag, row.field):
        return False
    if row.where and not component.flag(row.where):
        return False
    if row.cgroup and (machine is None or machine.cgroup != row.cgroup):
        return False
    return row.effect != "changed" or not reached(subject.now, row.since)


def _look(subject: Subject) -> Iterator[Told]:
    for row in facts().defaults:
        if _counts(subject, row):
            name = row.field or f"--{row.flag}"
            message = f"{name} is not set: from {row.since} on that means {row.means}"
            if row.effect == "fatal":
                message += f", and {row.component} does not start on this host"
            where = subject.component.files[0].place if row.field and subject.component.files else None
            place = where or subject.component.place
            yield Told(message, place, row.since, row.instead, row.effect != "fatal")


CHECK = Check("defaults", _look)
