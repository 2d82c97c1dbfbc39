from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from scaler.gateways.process import ProcessError, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_programs_words_and_status_are_told() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert done == (3, "out\n", "err\n")


def test_a_status_other_than_0_is_an_error_with_the_last_lines() -> None:
    with pytest.raises(ProcessError, match=r"exit status 3: 3 / 4 / 5 / 6 / 7") as failed:
        run(["sh", "-c", "seq 7 >&2; exit 3"])
    assert failed.value.completed is not None
    assert failed.value.completed.status == 3


def test_a_program_that_says_nothing_says_that_on_standard_output() -> None:
    with pytest.raises(ProcessError, match="exit status 1: why"):
        run(["sh", "-c", "echo why; exit 1"])
    with pytest.raises(ProcessError, match="exit status 1: no output"):
        run(["false"])


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(ProcessError, match=r"not found on this machine \(no-such-program\)") as failed:
        run(["no-such-program"])
    assert failed.value.completed is None


def test_a_program_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\n")
    with pytest.raises(ProcessError, match="kubectl: cannot be run on this machine: Permission denied"):
        run([str(tmp_path / "kubectl")])


def test_a_program_that_overruns_is_ended() -> None:
    with pytest.raises(ProcessError, match=r"no end after 0\.05 s"):
        run(["sleep", "60"], timeout=0.05)


def test_no_shell_reads_the_arguments() -> None:
    assert run(["echo", "$(id)", ";", "*"]).out == "$(id) ; *\n"


def test_standard_input_is_what_is_given_and_empty_otherwise() -> None:
    assert run(["cat"], stdin="text").out == "text"
    assert run(["cat"]).out == ""


def test_the_environment_is_laid_over_this_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_TEST_A", "own")
    monkeypatch.setenv("SCALER_TEST_B", "own")
    assert run(["sh", "-c", "echo $SCALER_TEST_A $SCALER_TEST_B"], env={"SCALER_TEST_B": "over"}).out == "own over\n"


def test_an_interruption_at_the_terminal_does_not_reach_a_program() -> None:
    printed = run([sys.executable, "-c", "import os; print(os.getpgid(0) == os.getpid())"]).out
    assert printed == "True\n"


def test_output_that_is_no_text_is_no_error() -> None:
    assert run(["printf", "\\377"]).out == "\ufffd"
