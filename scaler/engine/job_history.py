"""A job's runs on this machine's disk: one file each, one run at a time."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import ValidationError

from scaler.engine import lock
from scaler.engine.journal import state_dir
from scaler.errors import BusyError
from scaler.gateways.files import write_atomically
from scaler.model.job_record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


def directory(cluster: str, job: str = "") -> Path:
    """Return where the records of the cluster's jobs are, or those of one of them."""
    jobs = state_dir() / cluster / "jobs"
    return jobs / job if job else jobs


@contextmanager
def alone(cluster: str, job: str) -> Iterator[None]:
    """Let nobody else run the job meanwhile; raises BusyError where somebody does."""
    place = directory(cluster, job)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = FileLock(place / "lock")
    try:
        own.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"job {job} of cluster {cluster} is running already", hint=f"scaler job history {job} shows since when"
        ) from None
    try:
        yield
    finally:
        own.release()


def records(cluster: str, job: str) -> list[Record]:
    """Return the job's records, oldest first; one that is running on paper only was interrupted."""
    found = _written(cluster, job)
    held = bool(found) and lock.is_held(directory(cluster, job) / "lock", found[-1].pid)
    return [*map(_settled, found[:-1]), *(found[-1:] if held else map(_settled, found[-1:]))]


def settle(cluster: str, job: str) -> list[Record]:
    """Write down which earlier runs were interrupted, for who is alone with the job; return those."""
    found = [_settled(record) for record in _written(cluster, job) if record.result == "running"]
    for record in found:
        write(record)
    return found


def jobs(cluster: str) -> list[str]:
    """Return the names of all jobs that have records, also of those that are in no file any more."""
    return sorted(path.name for path in directory(cluster).glob("*") if path.is_dir())


def _written(cluster: str, job: str) -> list[Record]:
    found = []
    for path in sorted(directory(cluster, job).glob("*.json")):
        # It may be a later scaler's, or taken away meanwhile.
        with suppress(OSError, ValidationError):
            found.append(Record.model_validate_json(path.read_bytes()))
    return found


def _settled(record: Record) -> Record:
    if record.result != "running":
        return record
    totals = record.totals.model_copy(update={"failures": record.totals.failures + 1})
    told = {"message": "its process was gone before its end", "hint": "the job's next run goes on with what it began"}
    return record.model_copy(update={"result": "interrupted", "exit_code": 1, "totals": totals, **told})


def write(record: Record, *, keep: int = 0) -> None:
    """Write the record, whole or not at all; with ``keep`` remove the oldest beyond so many."""
    place = directory(record.cluster, record.job)
    write_atomically(place / f"{record.id}.json", record.model_dump_json(indent=1).encode() + b"\n", mode=0o600)
    for path in sorted(place.glob("*.json"))[:-keep] if keep else ():
        path.unlink(missing_ok=True)


def new_id(now: datetime) -> str:
    """Return the name of a record: its time in UTC, so that names sort by time."""
    return f"{now:%Y%m%d-%H%M%S-%f}"
