from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from scaler.errors import ScalerError
from scaler.gateways import children
from scaler.gateways.children import ScalerChildren
from scaler.gateways.clock import SystemClock, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_is_scaler_itself_and_tells_its_envelope() -> None:
    code, envelope = ScalerChildren().start(["runs", "list", "--cluster", "/nowhere", "--output", "json"]).wait()
    assert (code, envelope["command"], envelope["error"]["kind"]) == (3, "runs list", "input")


def test_one_that_leaves_no_envelope_has_an_exit_code_all_the_same() -> None:
    assert ScalerChildren().start(["no-such-command"]).wait() == (2, {})


def test_one_that_is_told_to_stop_hears_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    began = tmp_path / "began"
    program = (
        "import pathlib, signal, sys, threading; came = threading.Event();"
        "signal.signal(signal.SIGINT, lambda *_: came.set());"
        f"pathlib.Path({str(began)!r}).touch();"
        "print('{\"exit_code\": 10}' if came.wait(30) else '{}'); sys.exit(10)"
    )
    monkeypatch.setattr(children, "program", lambda: [sys.executable, "-c", program])
    child = ScalerChildren().start([])
    assert wait_until(SystemClock(), began.exists, timeout=20, every=0.01)
    child.stop()
    assert child.wait() == (10, {"exit_code": 10})
    child.stop()


def test_what_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "program", lambda: ["/no/such/python"])
    with pytest.raises(ScalerError, match="cannot be started"):
        ScalerChildren().start(["add-node"])
