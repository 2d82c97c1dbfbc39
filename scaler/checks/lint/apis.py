"""Versions of the configuration files' own APIs: another kind, group or version ends the component."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import reached, there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.components import ConfigFile
    from scaler.model.version_facts import Kind


def _look(subject: Subject) -> Iterator[Told]:
    name = subject.component.name
    wanted = {kind: row for kind, row in facts().kinds.items() if row.component == name and row.group}
    for file in subject.component.files if wanted else ():
        kind = wanted.get(file.kind)
        if file.wrong:
            continue
        if kind is None or file.group != kind.group:
            expected = ", ".join(f"{kind} of {row.group}" for kind, row in wanted.items())
            told = f"{file.kind or 'no kind'} of {file.group or 'no group'}"
            yield Told(f"the file is {told}, {name} reads {expected}", file.place)
        else:
            yield from _version(subject, file, kind)


def _version(subject: Subject, file: ConfigFile, kind: Kind) -> Iterator[Told]:
    if file.api is None:
        return
    api = file.api
    row = kind.apis.get(api.value)
    if row is None:
        known = ", ".join(version for version, each in kind.apis.items() if there(subject.at, each))
        yield Told(f"no version knows {file.group}/{api.value}", api.place, instead=known)
    elif not there(subject.at, row):
        bound = f"gone from {row.removed} on" if reached(subject.at, row.removed) else f"known from {row.since} on only"
        since = row.removed if reached(subject.at, row.removed) else row.since
        yield Told(
            f"{file.group}/{api.value} is {bound}: {kind.component} does not start", api.place, since, row.instead
        )
    elif reached(subject.at, row.deprecated):
        until = f", and gone from {row.removed} on" if row.removed else ""
        message = f"{file.group}/{api.value} is deprecated since {row.deprecated}{until}"
        yield Told(message, api.place, row.deprecated, row.instead, True)
    for field in file.fields:
        if api.value in kind.not_in.get(field.name, ()):
            yield Told(
                f"the field {field.name} is not in {file.group}/{api.value}, which is read strictly", field.place
            )


CHECK = Check("apis", _look)
