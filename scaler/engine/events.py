"""What a run tells; progress, journal and JSON lines are observers of the same events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import Field

from scaler.model.base import Value

Kind = Literal[
    "run-started",
    "step-intent",
    "step-progress",
    "step-fact",
    "step-done",
    "host-failed",
    "undo-intent",
    "host-undone",
    "host-left",
    "run-ended",
    "lease-left",
]


class Event(Value):
    """One thing that happened, at a time in UTC.

    ``data`` holds the plan in a run's first event, in a step's facts what a later run must know, like an ID, and in a
    run's last event its ``status``. ``version`` is that of the journal's form, in the first event; so is ``job``, the
    scheduled job that began the run.
    """

    kind: Kind
    at: datetime
    run: str
    step: str = ""
    hosts: tuple[str, ...] = ()
    message: str = ""
    data: dict[str, Any] = Field(default={})
    version: int = 0
    job: str = ""


class Observer(Protocol):
    """Hears every event, in order."""

    def hear(self, event: Event) -> None:
        """Take in one event."""
