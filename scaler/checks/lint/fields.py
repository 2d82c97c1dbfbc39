"""Fields of configuration files that a version does not know; most components read past them in silence."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import knows_field, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.components import ConfigFile, Setting
    from scaler.model.version_facts import Row

_ENDS, _READ_PAST = "{} does not start with it", "{} reads past it, and it does nothing"


def _look(subject: Subject) -> Iterator[Told]:
    for file in subject.component.files:
        if file.wrong:
            yield Told(f"{file.place.file} {file.wrong}", file.place)
        elif file.kind in facts().kinds and file.kind != "containerd":
            yield from _of_kind(subject, file)
        elif subject.component.name == "etcd":
            yield from _of_etcd(subject, file)


def _of_kind(subject: Subject, file: ConfigFile) -> Iterator[Told]:
    kind, told = facts().kinds[file.kind], set[str]()
    for field in file.fields:
        parent = field.name.rpartition(".")[0]
        row = kind.fields.get(field.name)
        found = list(_unknown(file.kind, field) if row is None else _judged(subject, field, row, kind.unknown))
        if found:
            told.add(field.name)
        if parent not in told:
            yield from found


def _unknown(kind: str, field: Setting) -> Iterator[Told]:
    if knows_field(kind, field.name):
        return
    told = facts().kinds[kind]
    near = difflib.get_close_matches(field.name, [*told.base, *told.fields], n=1)
    does = _ENDS if told.unknown == "fatal" else _READ_PAST
    yield Told(
        f"no version knows the field {field.name}: {does.format(told.component)}",
        field.place,
        instead=f"did you mean {near[0]}?" if near else "",
    )


def _judged(subject: Subject, field: Setting, row: Row, unknown: str) -> Iterator[Told]:
    fatal = (row.unknown or unknown) == "fatal"
    does = (_ENDS if fatal else _READ_PAST).format(subject.component.name)
    if row.since and not reached(subject.at, row.since):
        yield Told(
            f"the field {field.name} is known from {row.since} on only: {does}", field.place, row.since, row.instead
        )
    elif reached(subject.at, row.removed):
        message = f"the field {field.name} is gone from {row.removed} on: {does}"
        yield Told(message, field.place, row.removed, row.instead, not fatal)
    elif reached(subject.at, row.deprecated):
        message = f"the field {field.name} is deprecated since {row.deprecated}"
        yield Told(message, field.place, row.deprecated, row.instead, True)


def _of_etcd(subject: Subject, file: ConfigFile) -> Iterator[Told]:
    """Judge etcd's own file, whose options are its flags."""
    for field in file.fields:
        row = facts().flag("etcd", field.name) if "." not in field.name else None
        if row is not None:
            yield from _judged(subject, field, row, "ignored")


CHECK = Check("fields", _look)
