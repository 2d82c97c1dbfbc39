"""One change at a time on a cluster, as far as this machine knows."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import ValidationError

from scaler.engine.journal import state_dir
from scaler.errors import LockedError
from scaler.gateways import orphans
from scaler.gateways.files import write_atomically
from scaler.gateways.process import alive
from scaler.model.holder import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKS = Path("/proc/locks")


@contextmanager
def locked(cluster: str, doing: str) -> Iterator[None]:
    """Hold the cluster's lock; raises LockedError that names the holder, since when and doing what."""
    directory = _directory(cluster)
    lock = FileLock(directory / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _told(cluster)
        raise LockedError(
            f"cluster {cluster} is being changed: {holder.sentence if holder else 'by somebody who has just begun'}",
            hint="wait until that run has ended, then try again",
        ) from None
    try:
        _write(cluster, this_process(doing, datetime.now(UTC)))
        orphans.end()
        yield
    finally:
        _path(cluster).unlink(missing_ok=True)
        lock.release()


def this_process(doing: str, since: datetime, run: str = "") -> Holder:
    """Return this process as a holder."""
    return Holder(user=getpass.getuser(), host=socket.gethostname(), pid=os.getpid(), since=since, doing=doing, run=run)


def note_run(cluster: str, run: str) -> None:
    """Let the holder of the lock, which is this process, tell its run."""
    holder = _told(cluster)
    if holder and holder.pid == os.getpid():
        _write(cluster, holder.model_copy(update={"run": run}))


def look(cluster: str) -> Holder | None:
    """Return who holds the lock, None where nobody does; it is looked at, never taken, so nobody is refused by that."""
    holder = _told(cluster)
    return holder if holder and is_held(state_dir() / cluster / "lock", holder.pid) else None


def is_held(lock: Path, pid: int) -> bool:
    """Look whether any process has a lock on the file; without the kernel's list, whether the holder still runs."""
    try:
        file = lock.stat()
        where = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
        held = [line.split() for line in _LOCKS.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        return lock.exists() and alive(pid)
    # "1: FLOCK ADVISORY WRITE 1234 fd:01:5678 0 EOF"; one that waits for it has "->" behind its number.
    return any(where in words for words in held if "->" not in words)


def _directory(cluster: str) -> Path:
    directory = state_dir() / cluster
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def _path(cluster: str) -> Path:
    return state_dir() / cluster / "lock.holder"


def _told(cluster: str) -> Holder | None:
    try:
        return Holder.model_validate_json(_path(cluster).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _write(cluster: str, holder: Holder) -> None:
    write_atomically(_path(cluster), holder.model_dump_json().encode(), mode=0o600)
