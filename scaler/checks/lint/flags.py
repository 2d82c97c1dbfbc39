"""Flags that a version no longer takes, or does not take yet: any unknown flag ends the component at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.components import Setting
    from scaler.model.version_facts import Row


def _look(subject: Subject) -> Iterator[Told]:
    name = subject.component.name
    for setting in subject.component.flags:
        row = facts().flag(name, setting.name)
        if row is not None:
            yield from _judged(subject, setting, row)


def _judged(subject: Subject, setting: Setting, row: Row) -> Iterator[Told]:
    # etcd warns of a variable that it does not know and goes on.
    variable = setting.source == "variable"
    told = f"ETCD_{setting.name.replace('-', '_').upper()}" if variable else setting.told
    end = "it is not read any more" if variable else f"an unknown flag ends {subject.component.name}"
    if reached(subject.at, row.removed):
        yield Told(f"{told} is gone from {row.removed} on: {end}", setting.place, row.removed, row.instead, variable)
    elif row.since and not reached(subject.at, row.since):
        yield Told(f"{told} is known from {row.since} on only: {end}", setting.place, row.since, row.instead, variable)
    elif reached(subject.at, row.deprecated):
        until = f", and gone from {row.removed} on" if row.removed else ""
        yield Told(
            f"{told} is deprecated since {row.deprecated}{until}", setting.place, row.deprecated, row.instead, True
        )


CHECK = Check("flags", _look)
