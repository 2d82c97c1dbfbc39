from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from scaler.gateways.files import sha256, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("broken", ["fsync", "fchmod"])
def test_where_the_disk_is_full_the_old_file_stays_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_an_interruption_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_has_its_mode_from_its_first_byte_on_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    seen: list[int] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "below" / "file", b"new", mode=mode)
    finally:
        os.umask(before)
    assert seen[0] == mode
    assert stat.S_IMODE((tmp_path / "below" / "file").stat().st_mode) == mode


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a" * 3_000_000)
    assert sha256(tmp_path / "file") == "2a152c894398719c0570f83fac34ac03a0f6e8e474b995c2403aa5434f7b9dd4"
