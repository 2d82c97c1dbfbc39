from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from scaler.engine import holder as holders
from scaler.engine.lock import locked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path))
    return tmp_path / "prod"


def test_a_lock_that_was_never_taken_has_no_holder() -> None:
    assert holders.holder("prod") is None


def test_the_holder_is_told_while_the_lock_is_held_and_can_still_go_on() -> None:
    with locked("prod", "add-node n7"):
        told = holders.holder("prod")
        assert told is not None
        assert (told.pid, told.doing) == (os.getpid(), "add-node n7")
    assert holders.holder("prod") is None
    with locked("prod", "add-node n8"):
        pass


@pytest.mark.parametrize("held", [True, False])
def test_without_the_kernels_list_a_holder_that_runs_holds_it(
    state: Path, monkeypatch: pytest.MonkeyPatch, *, held: bool
) -> None:
    monkeypatch.setattr(holders, "_LOCKS", state / "no-such-list")
    state.mkdir()
    (state / "lock").touch()
    pid = os.getpid() if held else 2**22 + 1  # above the highest that Linux gives
    (state / "lock.holder").write_text(json.dumps({"pid": pid, "doing": "add-node"}))
    assert (holders.holder("prod") is not None) is held
