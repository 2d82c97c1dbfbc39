from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from scaler.errors import LabError
from scaler.lab.streaming import stream

if TYPE_CHECKING:
    from pathlib import Path


def ignore(_line: str) -> None:
    pass


def test_each_line_is_heard_in_order_from_both_outputs() -> None:
    heard: list[str] = []
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr)"
    stream([sys.executable, "-c", code], heard.append, timeout=30)
    assert heard == ["one", "two"]


def test_a_failure_shows_the_last_lines_only() -> None:
    with pytest.raises(LabError, match="exit status 3") as caught:
        stream([sys.executable, "-c", "[print(f'line {n}.') for n in range(30)]; exit(3)"], ignore, timeout=30)
    assert "line 29." in caught.value.message
    assert "line 9." not in caught.value.message


def test_a_program_and_its_children_end_at_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(LabError, match=r"no end after 0\.5 s"):
        stream(["sh", "-c", "sleep 60 & wait"], ignore, timeout=0.5)
    assert time.monotonic() - began < 10


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="not found on this machine"):
        stream([str(tmp_path / "missing")], ignore, timeout=1)
