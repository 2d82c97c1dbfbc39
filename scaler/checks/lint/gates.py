"""Feature gates that are named and that a version does not know, or does not let be switched off: both are fatal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.model.version_facts import facts
from scaler.model.versions import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.components import Component, Place


def _named(component: Component) -> Iterator[tuple[str, str, Place]]:
    """Yield each gate with what it is set to; etcd has gates of its own."""
    if component.name in {"etcd", "containerd"}:
        return
    for setting in component.settings:
        if setting.source == "flag" and setting.name == "feature-gates":
            for item in setting.items:
                gate, _, value = item.partition("=")
                yield gate, value, setting.place
        elif setting.source == "field" and setting.name.startswith("featureGates."):
            yield setting.name.partition(".")[2], setting.value, setting.place


def _look(subject: Subject) -> Iterator[Told]:
    end = f"{subject.component.name} does not start with it"
    for gate, value, place in _named(subject.component):
        row = facts().gates.get(gate)
        if row is None:
            continue
        if reached(subject.at, row.removed):
            yield Told(f"feature gate {gate} is gone from {row.removed} on: {end}", place, row.removed, row.instead)
        elif row.since and not reached(subject.at, row.since):
            yield Told(f"feature gate {gate} is known from {row.since} on only: {end}", place, row.since, row.instead)
        elif reached(subject.at, row.changed) and value.lower() == "false":
            message = f"feature gate {gate} cannot be switched off from {row.changed} on: {end}"
            yield Told(message, place, row.changed, row.instead)


CHECK = Check("gates", _look)
