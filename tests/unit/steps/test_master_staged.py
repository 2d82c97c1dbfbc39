from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import StepError
from scaler.pki.certificates import SERVER, Subject, issue
from scaler.steps import etcd_snapshot, learner_added, learner_started
from scaler.steps.master_credentials import etcd_subject, read_pair
from scaler.steps.master_staged import STEP
from tests.fakes.clock import BEGIN
from tests.fakes.control_plane import FakeControlPlane

if TYPE_CHECKING:
    from pathlib import Path

M2, E2 = FakeControlPlane.host("m2"), FakeControlPlane.host("e2")


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m2")


@pytest.fixture
def members(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "e2", etcd=1)


def ready_made(there: FakeControlPlane, name: str, subject: Subject) -> None:
    """Put a certificate of the cluster's own authority for m2 where a ready-made one stands."""
    pki = there.settings.pki_dir
    authority = read_pair(pki, "ca" if name == "apiserver" else "etcd-ca")
    directory = pki / "hosts" / "m2"
    directory.mkdir(parents=True)
    pair = issue(authority, subject, [SERVER], BEGIN)
    (directory / f"{name}.crt").write_bytes(pair.certificate)
    (directory / f"{name}.key").write_bytes(pair.key)


def test_everything_is_there_and_nothing_runs(there: FakeControlPlane) -> None:
    assert STEP.apply(there.world, [M2]) == {}
    machine = there.machines["m2"]
    assert machine.units == set()
    assert {"/etc/etcd/pki/peer.crt", "/etc/kubernetes/pki/apiserver.crt"} <= set(machine.files)


def test_what_etcd_starts_with_is_not_written_yet(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    assert "/etc/etcd/etcd.yaml" not in there.machines["m2"].files


def test_an_etcd_host_gets_nothing_of_a_master(members: FakeControlPlane) -> None:
    assert STEP.apply(members.world, [E2]) == {}
    assert {path.rpartition("/")[0] for path in members.machines["e2"].files} == {"/etc/etcd/pki"}


def test_a_master_of_an_etcd_elsewhere_gets_nothing_of_etcd(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m2", etcd=1, becomes="masters")
    assert STEP.apply(there.world, [M2]) == {}
    assert {path.rpartition("/")[0] for path in there.machines["m2"].files} == {
        "/etc/kubernetes",
        "/etc/kubernetes/pki",
    }


def test_a_ready_made_certificate_without_the_balancers_name_is_refused_by_that_name(there: FakeControlPlane) -> None:
    ready_made(there, "apiserver", Subject("kube-apiserver", dns=("m2",), addresses=("10.0.0.2",)))
    told = STEP.apply(there.world, [M2])["m2"]
    assert "/etc/kubernetes/pki/apiserver.crt does not carry" in told
    assert "10.0.0.100" in told
    assert told.endswith("(issue it with these names, or let scaler issue it)")


def test_a_ready_made_certificate_with_every_name_is_taken(there: FakeControlPlane) -> None:
    ready_made(there, "etcd-peer", etcd_subject(M2))
    assert STEP.apply(there.world, [M2]) == {}
    mine = (there.settings.pki_dir / "hosts" / "m2" / "etcd-peer.crt").read_text()
    assert there.machines["m2"].files["/etc/etcd/pki/peer.crt"] == mine


@pytest.mark.parametrize("port", [2379, 2380])
def test_a_member_that_the_host_does_not_reach_is_told_by_its_port(there: FakeControlPlane, port: int) -> None:
    there.blocked.add(("m2", "m1", port))
    assert f"m2 cannot talk to etcd at 10.0.0.1:{port}: timed out" in STEP.apply(there.world, [M2])["m2"]


@pytest.mark.parametrize("port", [2379, 2380])
def test_a_firewall_in_the_other_direction_shows(there: FakeControlPlane, port: int) -> None:
    there.blocked.add(("m1", "m2", port))
    told = STEP.apply(there.world, [M2])["m2"]
    assert f"m1 does not reach etcd's ports of m2: port {port}: timed out" in told
    assert "check firewalls from m1 to 10.0.0.2" in told


def test_a_port_that_somebody_has_is_told(there: FakeControlPlane) -> None:
    there.taken.add("m2")
    assert "Address already in use" in STEP.apply(there.world, [M2])["m2"]


def test_a_learner_that_an_earlier_run_started_is_opened_itself(there: FakeControlPlane) -> None:
    for step in (STEP, learner_added.STEP, learner_started.STEP):
        assert step.apply(there.world, [M2]) == {}
    assert STEP.apply(there.world, [M2]) == {}
    there.blocked.add(("m1", "m2", 2380))
    assert "m1 does not reach etcd's ports of m2" in STEP.apply(there.world, [M2])["m2"]


def test_undo_gives_the_host_back_as_it_was(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    STEP.undo(there.world, M2)
    machine = there.machines["m2"]
    assert (machine.files, machine.units, machine.claim) == ({}, set(), {})


def test_a_host_that_cannot_be_cleaned_is_told(there: FakeControlPlane) -> None:
    there.fakes.playbooks.fails["master_remove.yml", "m2"] = "the host was lost"
    with pytest.raises(StepError, match="m2 could not be cleaned: the host was lost"):
        STEP.undo(there.world, M2)


def snapshots(there: FakeControlPlane) -> list[str]:
    return sorted(path.name for path in there.world.snapshots.iterdir())


def test_a_snapshot_is_here_under_the_runs_name(there: FakeControlPlane) -> None:
    assert etcd_snapshot.STEP.apply(there.world, [M2]) == {}
    assert snapshots(there) == [f"etcd-{there.world.run}-m2.db"]
    assert there.world.snapshots.stat().st_mode & 0o777 == 0o700


def test_of_snapshots_the_newest_are_kept(there: FakeControlPlane) -> None:
    there.world.snapshots.mkdir()
    for day in ("20260101", "20260102", "20260103"):
        (there.world.snapshots / f"etcd-{day}-000000-aaaa-m9.db").touch()
    (there.world.snapshots / "mine.db").touch()
    etcd_snapshot.STEP.apply(there.world, [M2])
    assert snapshots(there) == [
        "etcd-20260102-000000-aaaa-m9.db",
        "etcd-20260103-000000-aaaa-m9.db",
        f"etcd-{there.world.run}-m2.db",
        "mine.db",
    ]


def test_a_snapshot_that_is_older_than_the_last_look_is_refused_and_not_kept(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = there.etcd.snapshot
    monkeypatch.setattr(
        there.etcd, "snapshot", lambda target: save(target).model_copy(update={"revision": there.etcd.revision - 1})
    )
    with pytest.raises(StepError, match="the snapshot has revision 49, etcd was at 50 before it"):
        etcd_snapshot.STEP.apply(there.world, [M2])
    assert snapshots(there) == []
