from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scaler import __version__
from scaler.gateways import itself
from scaler.gateways.process import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_this_very_scaler() -> None:
    assert run([*itself.program(), "--version"]).out == f"scaler {__version__}\n"


def test_without_a_program_beside_python_it_is_this_very_scaler_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (_, *rest) = itself.program()
    assert run([python, *rest, "--version"]).out == f"scaler {__version__}\n"
