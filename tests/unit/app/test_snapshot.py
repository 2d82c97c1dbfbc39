from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.app import snapshot
from scaler.errors import StepError
from scaler.model.etcd import SnapshotStatus
from tests.fakes.session import FakeSession, session
from tests.fakes.world import hosts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    return session(tmp_path, hosts("n1"))


def take(live: FakeSession, place: Path | None = None, keep: int = 7) -> snapshot.Taken:
    live.clock.sleep(1)
    return snapshot.take(live, place, keep=keep, progress=lambda _: None)


def test_a_snapshot_is_beside_the_journals_for_nobody_else_and_told_with_its_digest(
    live: FakeSession, tmp_path: Path
) -> None:
    taken = take(live)
    assert taken.path.parent == tmp_path / "state" / live.name / "snapshots"
    assert taken.path.parent.stat().st_mode & 0o077 == 0
    assert (taken.size, len(taken.digest)) == (taken.path.stat().st_size, 64)


def test_the_newest_are_kept_and_those_of_changes_are_not_counted(live: FakeSession, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    place.mkdir()
    (place / "etcd-20200101-000000-aaaa-m1.db").write_text("")
    paths = [take(live, place, keep=2).path for _ in range(4)]
    assert sorted(place.glob("snapshot-*")) == paths[2:]
    assert len(list(place.glob("etcd-*"))) == 1


def test_a_snapshot_older_than_etcd_was_is_thrown_away_and_nothing_else(
    live: FakeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "backup"
    good = take(live, place)

    def stale(target: Path) -> SnapshotStatus:
        target.write_bytes(b"old")
        return SnapshotStatus(hash=1, revision=live.fakes.etcd.revision - 1)

    monkeypatch.setattr(live.fakes.etcd, "snapshot", stale)
    with pytest.raises(StepError, match="etcd was at"):
        take(live, place, keep=1)
    assert list(place.iterdir()) == [good.path]
