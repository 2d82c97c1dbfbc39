"""Run a program on this machine: argv lists only, output captured, a deadline always."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import ScalerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Completed(NamedTuple):
    """What a program said: its exit status, standard output and standard error as text."""

    status: int
    out: str
    err: str


class ProcessError(ScalerError):
    """A program could not be started, ended with a status other than 0, or overran its deadline."""

    kind = "process"

    def __init__(self, argv: Sequence[str], why: str, completed: Completed | None = None) -> None:
        super().__init__(f"{' '.join(argv[:4])}{' …' if len(argv) > 4 else ''}: {why}")  # noqa: PLR2004
        self.argv = tuple(argv)
        self.completed = completed


def alive(pid: int) -> bool:
    """Tell whether this machine has a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = 60,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Completed:
    """Run ``argv`` to its end, at most ``timeout`` seconds; ``env`` is laid over this process' own environment.

    Raises ProcessError where the program is missing, overruns, or (with ``check``) ends with a status other than 0.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env={**os.environ, **env} if env is not None else None,
            cwd=cwd,
            # Ctrl-C at a terminal goes to the whole group; scaler alone decides what it means for a step that runs.
            start_new_session=True,
        )
    except FileNotFoundError as e:
        raise ProcessError(argv, f"not found on this machine ({e.filename})") from e
    except OSError as e:
        raise ProcessError(argv, f"cannot be run on this machine: {e.strerror}") from e
    except subprocess.TimeoutExpired as e:
        raise ProcessError(argv, f"no end after {timeout:g} s") from e
    completed = Completed(done.returncode, done.stdout, done.stderr)
    if check and completed.status != 0:
        why = (completed.err.strip() or completed.out.strip() or "no output").splitlines()
        raise ProcessError(argv, f"exit status {completed.status}: {' / '.join(why[-5:])}", completed)
    return completed
