"""A directory for one process alone, gone with it; what a killed process left is removed by the next one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "scaler-run-"


@contextmanager
def private_directory() -> Iterator[Path]:
    """Make a directory that only this user can read, locked for as long as this process lives, and remove it."""
    _sweep()
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _sweep() -> None:
    """Remove this user's directories that no living process holds.

    An empty one is left alone: another process may have just made it, and lock it in a moment.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another sweep, or its owner's end, may be faster.
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(lock).st_uid == os.getuid() and any(path.iterdir()):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
            finally:
                os.close(lock)
