"""Signals during a run: the first is a wish to stop in order, the second aborts, where something may be aborted."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Ctrl-C; systemd and who stops a scheduled job; a terminal or a connection that goes away.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts the signals; they break off only what is ``abortable``, so no giving back of a lock is ever lost."""

    def __init__(self) -> None:
        self.count = 0
        self._abortable = False
        self._hear: Callable[[], None] = lambda: None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals meanwhile, where this is the thread that gets them; under nohup a lost terminal is none."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        heard = [number for number, handler in before.items() if (number, handler) != (signal.SIGHUP, signal.SIG_IGN)]
        for number in heard:
            signal.signal(number, lambda *_: self.come())
        try:
            yield
        finally:
            for number in heard:
                signal.signal(number, before[number])

    @contextmanager
    def abortable(self, hear: Callable[[], None]) -> Iterator[None]:
        """Let a second signal raise KeyboardInterrupt in here; ``hear`` is called for the first one."""
        self._hear, self._abortable = hear, True
        try:
            yield
        finally:
            self._abortable = False

    def come(self) -> None:
        """Take in one signal."""
        self.count += 1
        if self.count == 1:
            self._hear()
        elif self._abortable:
            raise KeyboardInterrupt
