"""Values that a version does not take, or takes for something else: plugins, proxy modes, providers, runtimes."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.components import Setting
    from scaler.model.version_facts import Row


def _look(subject: Subject) -> Iterator[Told]:
    component = subject.component
    of_flags = facts().values.get(component.name, {})
    for flag in component.flags:
        yield from _judged(subject, flag, of_flags.get(flag.name, {}))
    for file in component.files:
        of_fields = facts().values.get(file.kind, {})
        for field in file.fields:
            yield from _judged(subject, field, of_fields.get(field.name, {}))


def _is(value: str, pattern: str) -> bool:
    if pattern.startswith("!"):
        return value not in {pattern[1:], ""}
    return fnmatch.fnmatchcase(value, pattern)


def _judged(subject: Subject, setting: Setting, rows: dict[str, Row]) -> Iterator[Told]:
    for item in setting.items:
        for pattern, row in rows.items():
            if _is(item, pattern):
                yield from _value(subject, setting, item, row)


def _value(subject: Subject, setting: Setting, item: str, row: Row) -> Iterator[Told]:
    said, name = f"{setting.told} {item}", subject.component.name
    if reached(subject.at, row.removed):
        yield Told(
            f"{said}: not taken from {row.removed} on; {name} does not start", setting.place, row.removed, row.instead
        )
        return
    if row.since and not reached(subject.at, row.since):
        yield Told(
            f"{said}: taken from {row.since} on only; {name} does not start", setting.place, row.since, row.instead
        )
        return
    if reached(subject.at, row.changed) and not reached(subject.now, row.changed):
        yield Told(f"{said}: means something else from {row.changed} on", setting.place, row.changed, row.instead, True)
    if reached(subject.at, row.deprecated):
        until = f", and not taken from {row.removed} on" if row.removed else ""
        message = f"{said}: deprecated since {row.deprecated}{until}"
        yield Told(message, setting.place, row.deprecated, row.instead, True)


CHECK = Check("values", _look)
