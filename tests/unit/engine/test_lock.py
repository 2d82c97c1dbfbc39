from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scaler.engine.lock import locked, look, note_run
from scaler.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLDER = """
import sys
from scaler.engine.lock import locked, look, note_run
with locked("prod", "add-node n7"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_refused_and_told_who_since_when_and_doing_what(holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockedError) as refused, locked("prod", "add-node n8"):
        pass
    who = f"{getpass.getuser()} on {socket.gethostname()} (process {holder.pid}) since 2"
    assert refused.value.message.startswith(f"cluster prod is being changed: {who}")
    assert refused.value.message.endswith(" UTC: add-node n7")
    assert refused.value.exit_code == 6


@pytest.mark.usefixtures("holder")
def test_a_refused_one_does_not_take_the_holders_name_away(state: Path) -> None:
    before = (state / "prod" / "lock.holder").read_text()
    with pytest.raises(LockedError), locked("prod", "add-node n8"):
        pass
    assert (state / "prod" / "lock.holder").read_text() == before


@pytest.mark.usefixtures("holder")
def test_another_cluster_is_free() -> None:
    with locked("test", "add-node n8"):
        pass


def test_a_lock_is_free_after_its_holder_was_killed(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with locked("prod", "add-node n8"):
        pass


def test_a_lock_is_free_after_its_holder_ended(holder: subprocess.Popen[str]) -> None:
    holder.communicate("\n")
    with locked("prod", "add-node n8"):
        pass


def test_a_lock_is_free_after_what_it_guards_failed(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked("prod", "add-node n8"):
        raise ZeroDivisionError
    assert not (state / "prod" / "lock.holder").exists()
    with locked("prod", "add-node n8"):
        pass


def test_a_holder_that_left_no_name_is_somebody(holder: subprocess.Popen[str], state: Path) -> None:
    del holder
    (state / "prod" / "lock.holder").unlink()
    with pytest.raises(LockedError, match="somebody who has just begun"), locked("prod", "add-node n8"):
        pass


def test_a_holder_tells_its_run_once_it_has_one() -> None:
    with locked("prod", "add-node n7"):
        note_run("prod", "20260301-020000-abcd")
        held = look("prod")
        assert held is not None
        assert held.sentence.endswith("add-node n7, run 20260301-020000-abcd")


def test_looking_tells_the_holder_and_takes_nothing(holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        held = look("prod")
        assert held is not None
        assert (held.pid, held.doing) == (holder.pid, "add-node n7")


def test_what_a_killed_holder_wrote_is_no_holder(holder: subprocess.Popen[str], state: Path) -> None:
    holder.kill()
    holder.wait()
    assert (state / "prod" / "lock.holder").exists()
    assert look("prod") is None
