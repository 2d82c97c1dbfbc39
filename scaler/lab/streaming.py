"""Run a long program on this machine and hear it line by line: argv lists only, a deadline always."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from scaler.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TAIL = 20


def stream(
    argv: Sequence[str],
    heard: Callable[[str], None],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run ``argv`` to its end and give each line of its output to ``heard``; its last lines go into the LabError."""
    name = " ".join(argv[:2])
    tail: deque[str] = deque(maxlen=TAIL)
    overran = threading.Event()
    try:
        # A session of its own, so that a deadline or an interrupt ends the program's children as well.
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **env} if env is not None else None,
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as e:
        raise LabError(f"{name}: not found on this machine ({e.filename})") from e

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def overrun() -> None:
        overran.set()
        end()

    deadline = threading.Timer(timeout, overrun)
    deadline.daemon = True
    deadline.start()
    try:
        for raw in process.stdout or ():
            line = raw.rstrip("\n")
            tail.append(line)
            heard(line)
        process.wait()
    except BaseException:
        end()
        process.wait()
        raise
    finally:
        deadline.cancel()
        if process.stdout is not None:
            process.stdout.close()
    if overran.is_set():
        raise LabError(f"{name}: no end after {timeout:g} s")
    if process.returncode != 0:
        last = "\n".join(tail) or "no output"
        raise LabError(f"{name}: exit status {process.returncode}, its last lines:\n{last}")
