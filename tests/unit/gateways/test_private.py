"""A process's own directory: its own, private, and gone with it, however it ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scaler.gateways.private import private_directory

if TYPE_CHECKING:
    from pathlib import Path

KILLED = """
import os, signal
from scaler.gateways.private import private_directory
with private_directory() as path:
    (path / "secret").write_text("PRIVATE")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def swept() -> None:
    with private_directory():
        pass


def test_only_its_user_can_read_it_and_it_is_gone_with_its_owner(place: Path) -> None:
    with private_directory() as path:
        (path / "secret").touch()
        assert (path.parent, path.stat().st_mode & 0o777) == (place, 0o700)
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(place: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], env={"TMPDIR": str(place)}, check=False)
    assert done.returncode == -9
    assert len(list(place.glob("scaler-run-*/secret"))) == 1
    swept()
    assert list(place.iterdir()) == []


def test_what_a_living_process_holds_stays(place: Path) -> None:
    with private_directory() as path:
        (path / "secret").touch()
        swept()
        assert list(place.glob("*/*")) == [path / "secret"]


def test_what_is_no_directory_of_ours_stays(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept" / "file").touch()
    (place / "scaler-run-link").symlink_to(place / "kept")
    (place / "scaler-run-file").touch()
    (place / "scaler-run-empty").mkdir()
    swept()
    assert len(list(place.iterdir())) == 4
    assert (place / "kept" / "file").exists()
