"""What every part of the lab uses: programs that fail as LabError, and waits that end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scaler.errors import LabError
from scaler.gateways.process import Completed, ProcessError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def do(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = 60,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    hint: str = "",
) -> Completed:
    """Run a program of this machine for the lab; its failure is a LabError that carries ``hint``."""
    try:
        return run(argv, stdin=stdin, timeout=timeout, check=check, env=env)
    except ProcessError as e:
        raise LabError(e.message, hint=hint) from e


def within(seconds: float, condition: Callable[[], bool], *, every: float = 0.03) -> bool:
    """Tell as soon as ``condition`` holds, or after ``seconds`` that it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def wait_until(condition: Callable[[], bool], what: str, *, timeout: float) -> None:
    """Return as soon as ``condition`` holds; LabError when it does not within ``timeout`` seconds."""
    if not within(timeout, condition):
        raise LabError(f"{what}: not within {timeout:g} s")
