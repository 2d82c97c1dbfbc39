from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


class FakeClock:
    """Time that passes only when somebody sleeps; ``jump`` moves the wall clock alone."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._jumped = 0.0
        self._guard = threading.Lock()

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._passed + self._jumped)

    def monotonic(self) -> float:
        return self._passed

    def sleep(self, seconds: float) -> None:
        with self._guard:
            self._passed += seconds
        time.sleep(0)  # lets the other threads run, takes no time

    def jump(self, seconds: float) -> None:
        self._jumped += seconds
