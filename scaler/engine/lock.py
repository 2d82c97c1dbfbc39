"""One change at a time on a cluster, as far as this machine knows."""

from __future__ import annotations

import getpass
import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from scaler.engine.journal import state_dir
from scaler.errors import LockedError
from scaler.gateways import orphans
from scaler.gateways.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked(cluster: str, doing: str) -> Iterator[None]:
    """Hold the cluster's lock; raises LockedError that names the holder, since when and doing what."""
    directory = state_dir() / cluster
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock, holder = FileLock(directory / "lock"), directory / "lock.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            told = holder.read_text(encoding="utf-8")
        except OSError:
            told = "somebody who has just begun"
        raise LockedError(
            f"cluster {cluster} is being changed: {told}", hint="wait until that run has ended, then try again"
        ) from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        who = {
            "user": getpass.getuser(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": since,
            "doing": doing,
        }
        write_atomically(holder, json.dumps(who).encode(), mode=0o600)
        orphans.end()
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
