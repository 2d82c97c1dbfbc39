from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from scaler.gateways.threads import Threads

if TYPE_CHECKING:
    from concurrent.futures import Future

# Hangs in a thread, is interrupted, and ends.
_HANGS = """
import threading
from scaler.gateways.threads import Threads
began = threading.Event()
def hang():
    began.set()
    threading.Event().wait()
with Threads(2) as pool:
    hanging = pool.submit(hang)
    began.wait()
    print("hangs", flush=True)
    WAIT
"""


def test_results_come_in_order() -> None:
    with Threads(2) as pool:
        assert list(pool.map(lambda a, b: a * b, [1, 2, 3], [4, 5, 6])) == [4, 10, 18]


def test_so_many_work_at_once_and_no_more() -> None:
    together, most = threading.Barrier(2), []
    now, guard = [0], threading.Lock()

    def work(_: int) -> None:
        with guard:
            now[0] += 1
            most.append(now[0])
        together.wait(30)
        with guard:
            now[0] -= 1

    with Threads(2) as pool:
        list(pool.map(work, range(6)))
    assert max(most) == 2


def test_a_failure_is_raised_where_the_result_is_asked_for() -> None:
    with Threads(1) as pool:
        failed = pool.submit(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            failed.result()
        assert pool.submit(lambda: "goes on").result() == "goes on"


def test_who_leaves_waits_for_what_was_submitted() -> None:
    done: list[int] = []

    def fail() -> None:
        with Threads(1) as pool:
            for number in range(3):
                pool.submit(done.append, number)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert done == [0, 1, 2]


def test_an_interruption_drops_what_has_not_begun() -> None:
    going, began = threading.Event(), threading.Event()
    done: list[str] = []
    never: list[Future[None]] = []

    def first() -> None:
        began.set()
        going.wait(30)

    def interrupted() -> None:
        with Threads(1) as pool:
            pool.submit(first)
            began.wait(30)
            never.append(pool.submit(done.append, "second"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    going.set()
    assert never[0].cancelled()
    assert done == []


@pytest.mark.parametrize("wait", ["hanging.result()", "pass"])
def test_a_process_that_is_interrupted_ends_though_a_thread_hangs(wait: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    reset = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    with subprocess.Popen(
        [sys.executable, "-c", reset + _HANGS.replace("WAIT", wait)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) != 0
        finally:
            process.kill()
