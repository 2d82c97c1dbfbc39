from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from scaler.gateways.notify import VARIABLE, notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    name = f"@scaler-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv(VARIABLE, name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind("\0" + name[1:] if abstract else name)
        assert notify("READY=1")
        assert door.recv(100) == b"READY=1"


def test_where_nobody_listens_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not notify("READY=1")
