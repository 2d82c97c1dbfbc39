"""Commands as processes: a small program stands for scaler."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from scaler.gateways import commands
from scaler.gateways.commands import Subprocesses

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """\
import json, os, signal, sys, time
verb = sys.argv[1]
if verb == "slow":
    def stop(*_):
        print(json.dumps({"exit_code": 10, "error": {"kind": "aborted", "message": "stopped in order", "hint": ""}}))
        sys.stdout.flush()
        os._exit(10)
    signal.signal(signal.SIGTERM, stop)
    open(sys.argv[2], "w").close()
    time.sleep(60)
if verb == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if verb == "usage":
    print("Error: No such option", file=sys.stderr)
    sys.exit(2)
print("not json")
print(json.dumps({"schema": "scaler/v1", "command": verb, "ok": True, "exit_code": 0,
                  "data": {"job": os.environ["SCALER_JOB"]}}))
"""


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subprocesses:
    script = tmp_path / "scaler.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(commands, "program", lambda: ["python3", str(script)])
    return Subprocesses("night")


def test_what_a_command_prints_last_is_its_envelope_and_it_knows_its_job(door: Subprocesses) -> None:
    answer = door.run(["status"], seconds=30)
    assert (answer.exit_code, answer.message, answer.late) == (0, "", False)
    assert answer.envelope is not None
    assert answer.envelope.data == {"job": "night"}


def test_a_command_without_an_envelope_is_told_by_its_last_words(door: Subprocesses) -> None:
    answer = door.run(["usage"], seconds=30)
    assert (answer.exit_code, answer.envelope) == (2, None)
    assert answer.message == "exit code 2: Error: No such option"


def test_a_command_that_was_killed_says_by_what(door: Subprocesses) -> None:
    answer = door.run(["killed"], seconds=30)
    assert (answer.exit_code, answer.message) == (-signal.SIGKILL, "it was killed by signal 9")


def test_a_command_whose_time_is_over_stops_in_order(door: Subprocesses, tmp_path: Path) -> None:
    answer = door.run(["slow", str(tmp_path / "began")], seconds=1)
    assert (answer.exit_code, answer.late, answer.message) == (10, True, "stopped in order")


def test_a_command_is_stopped_in_order_from_outside(door: Subprocesses, tmp_path: Path) -> None:
    def stop() -> None:
        end = time.monotonic() + 30
        while not (tmp_path / "began").exists() and time.monotonic() < end:
            threading.Event().wait(0.01)
        door.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    answer = door.run(["slow", str(tmp_path / "began")], seconds=50)
    thread.join()
    assert (answer.exit_code, answer.late, answer.message) == (10, False, "stopped in order")
    door.stop()  # nothing runs, so nothing is stopped


@pytest.mark.parametrize("out", ["", "text\n", "[1]\n", json.dumps({"kind": "progress"}), "{"])
def test_what_is_no_envelope_is_none(out: str) -> None:
    assert commands.envelope(out) is None
