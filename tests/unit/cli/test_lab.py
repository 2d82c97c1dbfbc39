from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from scaler.cli.main import app
from scaler.lab.layout import PARENT_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_lab_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, str(tmp_path / "labs"))
    monkeypatch.setenv("SCALER_CACHE_DIR", str(tmp_path / "cache"))
    done = CliRunner().invoke(app, ["lab", "up", "--loadbalancer", "nginx", "--loadbalancers", "0"])
    assert done.exit_code == 3
    assert "--loadbalancer nginx needs a host for it" in done.stderr
    assert list(tmp_path.iterdir()) == []
