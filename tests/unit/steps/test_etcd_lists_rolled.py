from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import StepError
from scaler.steps import balancing
from scaler.steps.etcd_lists_rolled import STEP
from tests.fakes.control_plane import APISERVER, FakeControlPlane
from tests.fakes.etcd import FakeMember

if TYPE_CHECKING:
    from pathlib import Path

NEW = FakeControlPlane.host("e2")
KNOWN = ["10.0.0.31", "10.0.0.32"]


def grown(directory: Path, masters: int) -> FakeControlPlane:
    """Return a cluster whose etcd, on hosts of its own, has just got its second voter."""
    made = FakeControlPlane(directory, "e2", masters=masters, etcd=1)
    made.etcd.all.append(FakeMember(2, f"https://{NEW.address}:2380", "e2"))
    return made


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return grown(tmp_path, 3)


def test_every_api_server_knows_every_voter(there: FakeControlPlane) -> None:
    assert STEP.apply(there.world, [NEW]) == {}
    assert there.lists() == {"m1": KNOWN, "m2": KNOWN, "m3": KNOWN}


def test_one_at_a_time_leaves_the_balancers_restarts_and_comes_back(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [NEW])
    assert there.events == [
        line
        for name in ("m1", "m2", "m3")
        for line in (
            f"drain lb1 {name}",
            f"drain lb2 {name}",
            f"start {name} 2",
            f"ready lb1 {name}",
            f"ready lb2 {name}",
        )
    ]
    assert there.outages == []


def test_an_api_server_that_knows_them_is_not_touched(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [NEW])
    there.events.clear()
    STEP.apply(there.world, [NEW])
    assert there.events == []


def test_the_only_api_server_is_told_and_restarted_later_by_hand(tmp_path: Path) -> None:
    there = grown(tmp_path, 1)
    assert STEP.apply(there.world, [NEW]) == {}
    assert there.events == []
    assert there.lists() == {"m1": ["10.0.0.31"]}
    assert there.machines["m1"].files["/etc/kubernetes/kube-apiserver.env"].count("https://") == 2
    assert "systemctl restart kube-apiserver.service" in there.world.later["m1"]


def test_one_that_does_not_get_ready_is_not_taken_back_and_no_other_is_touched(there: FakeControlPlane) -> None:
    there.heard.append(lambda: there.sick.add(("m1", APISERVER)) if there.events[-1] == "start m1 2" else None)
    with pytest.raises(StepError) as caught:
        STEP.apply(there.world, [NEW])
    assert "m1: its API server is not ready after 60 s" in caught.value.message
    assert "lb1, lb2 send nothing to it until this command is run again" in caught.value.message
    assert [balancer.drained for balancer in there.balancers.values()] == [{"m1"}, {"m1"}]
    assert there.lists()["m2"] == there.lists()["m3"] == ["10.0.0.31"]


def test_without_another_that_serves_nothing_is_restarted(there: FakeControlPlane) -> None:
    there.sick |= {("m2", APISERVER), ("m3", APISERVER)}
    with pytest.raises(StepError, match="lb1 has no master up but m1, which stays in it"):
        STEP.apply(there.world, [NEW])
    assert [balancer.drained for balancer in there.balancers.values()] == [set(), set()]
    assert [event for event in there.events if event.startswith("start")] == []


def test_where_one_balancer_cannot_be_told_the_others_are_told_back(there: FakeControlPlane) -> None:
    there.balancers["lb2"].runs = False
    with pytest.raises(StepError, match="lb2: HAProxy does not answer"):
        STEP.apply(there.world, [NEW])
    assert there.balancers["lb1"].drained == set()
    assert there.lists() == dict.fromkeys(["m1", "m2", "m3"], KNOWN[:1])


def test_where_one_balancer_knows_no_other_master_nothing_is_restarted(there: FakeControlPlane) -> None:
    there.balancers["lb2"].servers = {"m1": "10.0.0.1"}
    with pytest.raises(StepError, match="lb2 sends to m1 alone"):
        STEP.apply(there.world, [NEW])
    assert there.balancers["lb1"].drained == set()
    assert there.outages == []


def test_a_master_that_an_earlier_run_set_aside_is_taken_back(there: FakeControlPlane) -> None:
    there.balancers["lb1"].drained = {"m1"}
    STEP.apply(there.world, [NEW])
    assert [balancer.drained for balancer in there.balancers.values()] == [set(), set()]
    assert there.outages == []


def test_a_master_is_taken_back_though_the_balancer_does_not_know_another(there: FakeControlPlane) -> None:
    lb1 = there.balancers["lb1"]
    lb1.servers = {name: address for name, address in lb1.servers.items() if name != "m2"}
    lb1.drained = {"m3"}
    balancing.set_aside(there.world, there.world.masters[0])
    assert lb1.drained == {"m1"}


def test_the_last_master_that_is_up_is_never_set_aside(there: FakeControlPlane) -> None:
    there.sick |= {("m2", APISERVER), ("m3", APISERVER)}
    with pytest.raises(StepError, match="lb1 has no master up but m1, which stays in it"):
        balancing.set_aside(there.world, there.world.masters[0])
    assert there.balancers["lb1"].drained == set()


def test_a_local_balancer_that_is_not_reached_is_left_to_its_own_checks(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "e2", masters=3, etcd=1, balancers=0, workers=3, loadbalancer="local")
    there.etcd.all.append(FakeMember(2, f"https://{NEW.address}:2380", "e2"))
    there.fakes.ssh.machines["w2"].unreachable = True
    assert STEP.apply(there.world, [NEW]) == {}
    assert there.lists() == {"m1": KNOWN, "m2": KNOWN, "m3": KNOWN}
    assert set(there.world.later) == {"w2"}
    assert [name for name, balancer in there.balancers.items() if balancer.drained] == []
