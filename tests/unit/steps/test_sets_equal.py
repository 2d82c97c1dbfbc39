from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import StepError, UnreachableError
from scaler.steps import sets
from scaler.steps.sets_equal import SECONDS, STEP
from tests.fakes.control_plane import APISERVER, FakeControlPlane
from tests.fakes.etcd import FakeMember

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scaler.plan.equality import Table

M2 = FakeControlPlane.host("m2")


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    """Return a cluster of three masters that is well."""
    return FakeControlPlane(tmp_path, masters=3)


@pytest.fixture
def local(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, masters=3, balancers=0, workers=3, loadbalancer="local")


def rows(table: Table) -> dict[str, tuple[str, ...]]:
    return {row.title: row.hosts for row in table.rows}


def test_in_a_cluster_that_is_well_every_set_is_the_same(there: FakeControlPlane) -> None:
    assert STEP.apply(there.world, []) == {}
    told = rows(sets.look(there.world))
    assert set(told.values()) == {("m1", "m2", "m3")}
    assert list(told) == [
        "etcd's voters",
        *(f"etcd list of m{n}" for n in (1, 2, 3)),
        "etcd in the inventory",
        "masters",
        "backends of lb1",
        "backends of lb2",
        "nodes with the role",
        "masters in the inventory",
    ]
    assert there.world.measures["sets"]["learners"] == 0


def lost_backend(there: FakeControlPlane) -> None:
    there.balancers["lb2"].servers.pop("m3")


def backend_down(there: FakeControlPlane) -> None:
    there.sick.add(("m3", APISERVER))


def foreign_backend(there: FakeControlPlane) -> None:
    there.balancers["lb1"].servers["x"] = "10.0.0.99"
    ready = there.ready
    there.balancers["lb1"]._ready = lambda address: address == "10.0.0.99" or ready(address)


def short_list(there: FakeControlPlane) -> None:
    there.machines["m2"].lists = there.machines["m2"].lists[:2]


def lost_label(there: FakeControlPlane) -> None:
    there.fakes.kube.of("Node")["m3"]["metadata"]["labels"] = {}


def foreign_voter(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(9, "https://10.0.0.99:2380", "x9"))


def learner(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(9, "https://10.0.0.99:2380", learner=True))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lost_backend, "backends of lb2 lacks m3, which masters has"),
        (backend_down, "backends of lb1 lacks m3, which masters has"),
        (foreign_backend, "backends of lb1 has 10.0.0.99, which masters has not"),
        (short_list, "etcd list of m2 lacks m3, which etcd's voters has"),
        (lost_label, "nodes with the role lacks m3, which masters has"),
        (foreign_voter, "etcd in the inventory lacks x9, which etcd's voters has"),
        (learner, "1 learners in etcd"),
    ],
)
def test_a_set_that_differs_is_told_with_whom_it_lacks(
    there: FakeControlPlane, harm: Callable[[FakeControlPlane], None], told: str
) -> None:
    harm(there)
    with pytest.raises(StepError) as caught:
        STEP.apply(there.world, [])
    assert told in caught.value.message
    assert there.fakes.clock.monotonic() >= SECONDS


def test_a_backend_that_missed_one_check_is_looked_at_again(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.sick.add(("m3", APISERVER))
    sleep = there.fakes.clock.sleep

    def passes(seconds: float) -> None:
        sleep(seconds)
        there.sick.clear()

    monkeypatch.setattr(there.fakes.clock, "sleep", passes)
    assert STEP.apply(there.world, []) == {}


def test_a_host_that_is_not_in_the_inventory_yet_counts_by_the_plan(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m2")
    there.etcd.all.append(FakeMember(2, "https://10.0.0.2:2380", "m2"))
    there.world.masters.append(M2)
    told = rows(sets.look(there.world))
    assert told["etcd in the inventory"] == told["masters in the inventory"] == ("m1", "m2")


def test_local_balancers_are_asked_on_every_worker(local: FakeControlPlane) -> None:
    assert STEP.apply(local.world, []) == {}
    assert {title for title in rows(sets.look(local.world)) if title.startswith("backends")} == {
        f"backends of w{n}" for n in (1, 2, 3)
    }


def test_a_worker_that_is_not_reached_is_for_later_and_no_difference(local: FakeControlPlane) -> None:
    local.fakes.ssh.machines["w2"].unreachable = True
    assert STEP.apply(local.world, []) == {}
    assert set(local.world.later) == {"w2"}


def test_what_is_left_for_later_is_not_looked_at(local: FakeControlPlane) -> None:
    local.world.later["w2"] = "told before"
    local.balancers["w2"].servers = {}
    assert STEP.apply(local.world, []) == {}


def test_before_a_change_local_balancers_are_not_asked(local: FakeControlPlane) -> None:
    local.fakes.ssh.machines["w2"].unreachable = True
    told = rows(sets.look(local.world, everywhere=False))
    assert not [title for title in told if title.startswith("backends")]
    assert local.world.later == {}


def test_a_balancer_of_its_own_host_that_is_not_reached_is_an_error(there: FakeControlPlane) -> None:
    there.fakes.ssh.machines["lb2"].unreachable = True
    with pytest.raises(UnreachableError, match="lb2"):
        STEP.apply(there.world, [])
