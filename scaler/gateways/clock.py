"""Time, passed in: the one place that sleeps."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """What steps and the engine know of time."""

    def now(self) -> datetime:
        """Return the time, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)


def wait_until(clock: Clock, holds: Callable[[], bool], *, timeout: float, every: float) -> bool:
    """Ask ``holds`` every ``every`` seconds until it is true; tell whether it became so within ``timeout`` seconds."""
    deadline = clock.monotonic() + timeout
    while not holds():
        if clock.monotonic() >= deadline:
            return False
        clock.sleep(every)
    return True
