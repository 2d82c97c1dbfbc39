"""Work in threads that an aborted run does not wait for: what hangs in a connection ends with the process."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")
_Task = tuple["Future[Any]", "Callable[[], Any]"]


class Threads:
    """A pool as that of concurrent.futures; but an interruption leaves it at once, and so does the process' end.

    With ``leaves`` nobody waits for what is not done when the pool ends: whatever was needed has been got.
    """

    def __init__(self, at_once: int, *, leaves: bool = False) -> None:
        self._at_once, self._leaves = at_once, leaves
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin; threads are made as they are needed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for what was submitted, unless this is an interruption: then what has not begun never does."""
        aborted = self._leaves or (kind is not None and not issubclass(kind, Exception))
        if aborted:
            self._drop()
        self._end()
        try:
            for thread in [] if aborted else self._threads:
                thread.join()
        except BaseException:
            self._drop()
            self._end()
            raise

    def submit(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Do ``work`` in a thread; return its future."""
        future: Future[T] = Future()
        self._tasks.put((future, partial(work, *arguments, **named)))
        if len(self._threads) < self._at_once:
            thread = threading.Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def map(self, work: Callable[..., T], *of: Iterable[object]) -> Iterator[T]:
        """Do ``work`` for each of ``of``; yield the results in order."""
        futures = [self.submit(work, *each) for each in zip(*of, strict=True)]
        return (future.result() for future in futures)

    def _drop(self) -> None:
        with suppress(Empty):
            while True:
                task = self._tasks.get_nowait()
                if task:
                    task[0].cancel()

    def _end(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            future, work = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as e:  # noqa: BLE001 - it is raised where the result is asked for
                future.set_exception(e)
