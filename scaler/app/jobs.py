"""The jobs of a cluster: read, run, and what comes after a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler import errors
from scaler.app import job_run
from scaler.app.inventories import directory_of
from scaler.app.session import read_any
from scaler.engine import job_history
from scaler.errors import InputError, ScalerError
from scaler.gateways import calendar, job_file, telling
from scaler.gateways.files import write_atomically
from scaler.model.cloud_cluster import CloudCluster
from scaler.model.clouds import BINARY
from scaler.plan import job_messages, job_metrics, job_schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from scaler.gateways.clock import Clock
    from scaler.gateways.commands import Commands
    from scaler.model.job_record import Record
    from scaler.model.job_targets import Target
    from scaler.model.jobs import Jobs, Named


class Known(NamedTuple):
    """A cluster's jobs, its name, and the directory of its inventory."""

    cluster: str
    directory: Path
    jobs: Jobs

    @property
    def path(self) -> Path:
        """The file that has the jobs."""
        return self.directory / job_file.FILE

    def find(self, name: str) -> Named:
        """Return the job called ``name``."""
        found = next((each for each in self.jobs.named() if each.name == name), None)
        if found is None:
            known = ", ".join(self.jobs.jobs) or "none"
            raise InputError(f"{self.path} has no job {name}", hint=f"it has: {known}")
        return found


def read(cluster: str) -> Known:
    """Read the jobs of ``cluster``; raises InputError with every mistake."""
    directory = directory_of(cluster)
    found = read_any(cluster)
    kind = found.settings.kind if isinstance(found, CloudCluster) else BINARY
    return Known(found.name, directory, job_file.read(directory, found.name, kind))


def expressions(known: Known, named: Named) -> tuple[str, ...]:
    """Return when the job is due, as systemd's calendar has it, checked; raises InputError."""
    try:
        told = job_schedule.calendar(named.job.schedule)
        calendar.check(named.job.schedule, told)
    except InputError as e:
        raise InputError(f"{known.path}: jobs.{named.name}: {e.message}", hint=e.hint) from e
    return job_schedule.in_zone(told, named.time_zone)


def timer(known: Known, named: Named, now: datetime, years: int = job_schedule.YEARS) -> tuple[str, ...]:
    """Return what its timer waits for: its times, and the moments behind those that a clock skips."""
    due = expressions(known, named)
    if named.job.missed == "skip":
        return due
    plain = job_schedule.calendar(named.job.schedule)
    return (*due, *job_schedule.caught_up(plain, named.time_zone, now, _following, years))


def _following(expression: str, after: datetime) -> datetime | None:
    return next(iter(calendar.following(expression, after)), None)


def following(known: Known, named: Named, now: datetime, count: int) -> list[datetime]:
    """Return the job's next times."""
    times = {time for each in timer(known, named, now, 1) for time in calendar.following(each, now, count)}
    return sorted(times)[:count]


def run(
    known: Known,
    name: str,
    clock: Clock,
    commands: Commands,
    say: Callable[[str], None],
    *,
    scheduled: bool = False,
    tell: Callable[[Target, Record, datetime], None] = telling.tell,
) -> Record:
    """Run the job, write what came of it, and tell who wants to know; raises BusyError where it is running already."""
    named = known.find(name)
    with job_history.alone(known.cluster, name):
        interrupted = job_history.settle(known.cluster, name)
        for record in interrupted:
            job_history.write(_told(record, named, clock, say, tell))
        previous = job_history.records(known.cluster, name)
        working = job_run.begin(
            named,
            known.cluster,
            known.directory,
            clock,
            commands,
            say,
            scheduled=scheduled,
            last=previous[-1] if previous else None,
        )
        job_run.work(working, previous)
        record = _told(working.record, named, clock, say, tell)
        job_history.write(record, keep=named.job.keep)
        _write_metrics(known, say)
    return record


def _told(
    record: Record,
    named: Named,
    clock: Clock,
    say: Callable[[str], None],
    tell: Callable[[Target, Record, datetime], None],
) -> Record:
    """Tell who wants to know; that somebody could not be told changes nothing, and is said."""
    told = {}
    for target in job_messages.told_to(named.notify, record):
        try:
            tell(target, record, clock.now())
            told[target.told] = ""
        except ScalerError as e:
            told[target.told] = e.message
            say(f"warning: {target.told} was not told: {e.message}")
    return record.model_copy(update={"told": told})


def metrics(known: Known) -> str:
    """Return the text for node_exporter of the last run of each job."""
    last = {name: job_history.records(known.cluster, name)[-1:] for name in known.jobs.jobs}
    return job_metrics.text(known.cluster, {name: found[0] for name, found in last.items() if found})


def _write_metrics(known: Known, say: Callable[[str], None]) -> None:
    if known.jobs.metrics is None:
        return
    try:
        # node_exporter is another user, and reads no file whose name ends otherwise: a half-written one is not its.
        write_atomically(known.jobs.metrics / f"scaler-{known.cluster}.prom", metrics(known).encode(), mode=0o644)
    except OSError as e:
        say(f"warning: the metrics in {known.jobs.metrics} cannot be written: {e.strerror}")


def error(record: Record) -> ScalerError | None:
    """Return what the command ends with: what the job ended with."""
    if record.result == "done":
        return None
    return errors.of(record.exit_code)(f"job {record.job}: {record.message}", hint=record.hint)


def history(known_cluster: str, names: list[str]) -> list[Record]:
    """Return the records of the jobs, the newest first."""
    found = [record for name in names for record in job_history.records(known_cluster, name)]
    return sorted(found, key=lambda record: record.id, reverse=True)
