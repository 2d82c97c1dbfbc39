"""Scheduled jobs as ``jobs.yaml`` beside an inventory describes them."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from scaler.model.base import Value
from scaler.model.durations import Seconds
from scaler.model.job_actions import Action
from scaler.model.job_fits import misfit
from scaler.model.job_targets import Target
from scaler.model.paths import AbsolutePath

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# It becomes part of the names of units, files and metrics.
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,46}[a-z0-9])?")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
MINUTES = 60


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError("is not a time zone that this machine knows, like Europe/Berlin or UTC")
    return text


def _clock(told: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    # YAML 1.1 reads 22:00 as a number in base 60; nobody means that.
    text = f"{told // MINUTES:02}:{told % MINUTES:02}" if isinstance(told, int) else str(told)
    if not _CLOCK.fullmatch(text):
        raise ValueError("is not a time of day, like 22:00")
    return time.fromisoformat(text)


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("is not a line of text")
    return " ".join(text.split())


Zone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[time, BeforeValidator(_clock)]
Line = Annotated[str, AfterValidator(_one_line)]


class Window(Value):
    """When a job may begin, in the job's time zone; ``days`` are those on which the window opens."""

    not_before: Clock = time(0, 0)
    not_after: Clock | None = None
    days: tuple[Day, ...] = DAYS

    @model_validator(mode="after")
    def _it_opens(self) -> Window:
        if not self.days:
            raise ValueError("days is empty, so this job would never run")
        if self.not_after == self.not_before:
            raise ValueError("not_before and not_after are the same, so this job would never run")
        return self


class Guards(Value):
    """What must hold before a job changes anything; ``no_alert`` is a command that ends with 0 where all is quiet."""

    max_change: int | None = Field(default=None, ge=1)
    min_ready: int | None = Field(default=None, ge=0)
    no_unfinished: bool = True
    no_alert: tuple[str, ...] = ()
    alert_timeout: Seconds = 30


class OnFailure(Value):
    """What is done about a failed action: it is tried again so often, each time after a while; then, that."""

    retry: int = Field(default=0, ge=0, le=20)
    after: Seconds = 600
    then: Literal["leave", "roll-back"] = "leave"


class Job(Value):
    """One job; ``limit`` is for all of it, waiting and retries included where they fit."""

    schedule: Line
    action: Action
    description: Line = ""
    time_zone: Zone | None = None
    random_delay: Seconds = 0
    missed: Literal["catch-up", "skip"] = "catch-up"
    window: Window | None = None
    guards: Guards = Guards()
    on_failure: OnFailure = OnFailure()
    wait_lock: Seconds = 600
    limit: Seconds = 7200
    keep: int = Field(default=100, ge=1)
    enabled: bool = True
    notify: tuple[Target, ...] | None = None

    @model_validator(mode="after")
    def _it_has_time(self) -> Job:
        if not self.limit:
            raise ValueError("limit 0s leaves no time to do anything")
        if self.on_failure.then == "roll-back" and not self.action.changes:
            raise ValueError(f"action {self.action.do} changes nothing that could be rolled back")
        if not self.action.changes and (self.guards.max_change or self.guards.min_ready):
            raise ValueError(f"action {self.action.do} changes no node: max_change and min_ready say nothing about it")
        return self

    @model_validator(mode="after")
    def _it_fits_its_cluster(self, info: ValidationInfo) -> Job:
        # Whose inventory is beside the file says the context; without one, nobody knows.
        kind = (info.context or {}).get("kind")
        why = misfit(self.action, kind, rolls_back=self.on_failure.then == "roll-back") if kind else ""
        if why:
            raise ValueError(why)
        return self


class Named(Value):
    """A job under its name, with what holds for all jobs of the file where it says nothing itself."""

    name: str
    job: Job
    time_zone: str
    notify: tuple[Target, ...]


class Jobs(Value):
    """The whole file; ``cluster`` is a word of caution: a copied file is refused beside another inventory."""

    cluster: str | None = None
    time_zone: Zone = "UTC"
    metrics: AbsolutePath | None = None
    notify: tuple[Target, ...] = ()
    jobs: dict[str, Job] = Field(default={})

    @model_validator(mode="after")
    def _names_are_names(self) -> Jobs:
        for name in self.jobs:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"jobs.{name}: is not a job's name (lower case letters, digits and '-' inside, at most 48)"
                )
        return self

    def named(self) -> tuple[Named, ...]:
        """Return every job with what holds for it, in the file's order."""
        return tuple(
            Named(
                name=name,
                job=job,
                time_zone=job.time_zone or self.time_zone,
                notify=self.notify if job.notify is None else job.notify,
            )
            for name, job in self.jobs.items()
        )
