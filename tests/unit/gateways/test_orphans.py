from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scaler.gateways import orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SLEEP = "import sys; print('runs', flush=True); sys.stdin.readline()"


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Return a way to start a child that carries a mark and runs until it is ended."""
    children = []

    def make(mark: str) -> subprocess.Popen[str]:
        environment = {**os.environ, orphans.VARIABLE: mark} if mark else dict(os.environ)
        child = subprocess.Popen(
            [sys.executable, "-c", _SLEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        children.append(child)
        assert child.stdout
        assert child.stdout.readline() == "runs\n"
        return child

    yield make
    for child in children:
        child.kill()
        child.communicate()


def gone() -> str:
    """Return the mark of a process that has ended."""
    made = subprocess.run(
        [sys.executable, "-c", "from scaler.gateways import orphans; print(orphans.mark())"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return made.stdout.strip()


def test_what_a_process_that_is_gone_started_is_ended(start: Callable[[str], subprocess.Popen[str]]) -> None:
    child = start(gone())
    assert child.pid in orphans.end()
    assert child.wait() == -9


def test_what_another_process_of_the_same_number_started_is_ended(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    child = start(f"{os.getpid()}:1")
    assert child.pid in orphans.end()


@pytest.mark.parametrize("mark", ["", "1", "1:", ":1", "x:1", "1:x", "1:2:3"])
def test_a_process_without_a_mark_that_scaler_makes_lives(
    start: Callable[[str], subprocess.Popen[str]], mark: str
) -> None:
    child = start(mark)
    assert child.pid not in orphans.end()
    assert child.poll() is None


def test_what_a_living_process_started_lives(start: Callable[[str], subprocess.Popen[str]]) -> None:
    child = start(orphans.mark())
    assert child.pid not in orphans.end()
    assert child.poll() is None


def test_what_runs_in_a_container_is_not_judged_by_the_numbers_of_this_side(
    start: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(gone())
    monkeypatch.setattr(orphans, "_namespace", lambda process: "other" if process == child.pid else "own")
    assert child.pid not in orphans.end()
    assert child.poll() is None
