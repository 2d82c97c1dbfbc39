"""Who holds the cluster's lock on this machine: looked at, never taken."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from scaler.engine.journal import state_dir
from scaler.model.status import HolderSeen

_LOCKS = Path("/proc/locks")


def holder(cluster: str) -> HolderSeen | None:
    """Return who holds the lock of ``cluster``; None where nobody does, whatever a killed run left behind."""
    directory = state_dir() / cluster
    try:
        told = HolderSeen.model_validate_json((directory / "lock.holder").read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        told = HolderSeen(doing="somebody who has just begun")
    return told if _is_held(directory / "lock", told.pid) else None


def _is_held(lock: Path, pid: int) -> bool:
    """Look whether any process has a lock on the file; without the kernel's list, whether the holder still runs."""
    try:
        file = lock.stat()
        where = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
        held = [line.split() for line in _LOCKS.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        if lock.exists() and pid:
            return _runs(pid)
        return False
    # "1: FLOCK ADVISORY WRITE 1234 fd:01:5678 0 EOF"; one that waits for it has "->" behind its number.
    return any(where in words for words in held if "->" not in words)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
