from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from scaler.engine.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def hear(heard: list[str]) -> Callable[[], None]:
    return lambda: heard.append("first")


@pytest.fixture(autouse=True)
def _terminal() -> Iterator[None]:
    """Be a program at a terminal, however these tests were started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_of_any_kind_is_a_wish(
    number: signal.Signals, heard: list[str], hear: Callable[[], None]
) -> None:
    interrupts = Interrupts()
    with interrupts.listening(), interrupts.abortable(hear):
        os.kill(os.getpid(), number)
    assert (interrupts.count, heard) == (1, ["first"])


def test_the_second_signal_aborts_what_may_be_aborted(heard: list[str], hear: Callable[[], None]) -> None:
    interrupts = Interrupts()

    def twice() -> None:
        with interrupts.listening(), interrupts.abortable(hear):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            heard.append("went on")

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert heard == ["first"]


def test_outside_of_what_may_be_aborted_any_number_of_signals_breaks_nothing(hear: Callable[[], None]) -> None:
    interrupts = Interrupts()
    with interrupts.listening():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        with interrupts.abortable(hear):
            pass
        os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.count == 4


def test_a_lost_terminal_is_no_signal_under_nohup(hear: Callable[[], None]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupts = Interrupts()
        with interrupts.listening(), interrupts.abortable(hear):
            os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.count == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_former_handlers_are_back_afterwards() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts().listening():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_thread_that_gets_no_signals_runs_without_them() -> None:
    ran = threading.Event()

    def work() -> None:
        with Interrupts().listening():
            ran.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran.is_set()
