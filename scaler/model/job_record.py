"""What a run of a job came to, as its history keeps it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from scaler.model.base import Value

Result = Literal["running", "done", "failed", "refused", "skipped", "busy", "aborted", "interrupted"]
BAD: frozenset[Result] = frozenset({"failed", "refused", "busy", "aborted", "interrupted"})


class Trouble(BaseModel):
    """``error`` of an envelope."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str = "error"
    message: str = ""
    hint: str = ""


class Envelope(BaseModel):
    """What a command of scaler's prints with ``--output json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    command: str = ""
    exit_code: int
    data: dict[str, Any] = Field(default={})
    error: Trouble | None = None


class Ran(Value):
    """One command that a job ran, and how it ended."""

    argv: tuple[str, ...]
    exit_code: int
    seconds: float
    run: str = ""
    message: str = ""


class Ends(Value):
    """A certificate, and the days that are left of it."""

    host: str
    what: str
    days: float


class Health(Value):
    """The cluster as it was seen last in a run of a job; None is what was not told."""

    api: bool = False
    nodes: int | None = None
    ready: int | None = None
    voters: int | None = None
    healthy_voters: int | None = None
    etcd_well: bool | None = None
    certificates: tuple[Ends, ...] = ()
    problems: tuple[str, ...] = ()


class Totals(Value):
    """Counts over all runs of a job, carried from record to record."""

    runs: int = 0
    changes: int = 0
    failures: int = 0


class Record(Value):
    """One run of a job; ``result`` is interrupted where the process was gone before its end.

    ``ran`` are the commands in order, ``resumed`` and ``rolled_back`` the runs of scaler's that were gone on with or
    taken back; ``told`` is who was told, and why somebody was not.
    """

    record: Literal["scaler/job/v1"] = "scaler/job/v1"
    id: str
    job: str
    cluster: str
    action: str
    began: datetime
    ended: datetime | None = None
    result: Result = "running"
    exit_code: int = 0
    message: str = ""
    hint: str = ""
    changed: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    resumed: str = ""
    rolled_back: str = ""
    scheduled: bool = False
    pid: int = 0
    ran: tuple[Ran, ...] = ()
    health: Health | None = None
    last_success: datetime | None = None
    totals: Totals = Totals()
    told: dict[str, str] = Field(default={})

    @property
    def bad(self) -> bool:
        """Tell whether somebody should look."""
        return self.result in BAD

    @property
    def seconds(self) -> float:
        """Return how long it took, 0 where nobody knows."""
        return (self.ended - self.began).total_seconds() if self.ended else 0.0
