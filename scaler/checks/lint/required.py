"""Flags that have to be there: without them the component ends, or is not what the other hosts' are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import there

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    component = subject.component
    # A file alone, looked at without its unit, says nothing of flags.
    if not component.flags:
        return
    for row in facts().required:
        if row.component != component.name or not there(subject.at, row) or component.flag(row.flag):
            continue
        if row.where and not component.flag(row.where):
            continue
        until = f" until {row.removed}" if row.removed else ""
        what = "is not all there without it" if row.unknown == "ignored" else "does not start without it"
        message = f"--{row.flag} is missing: from {row.since or '1.20'} on{until} {component.name} {what}"
        yield Told(message, component.place, row.since, row.instead, row.unknown == "ignored")


CHECK = Check("required", _look)
