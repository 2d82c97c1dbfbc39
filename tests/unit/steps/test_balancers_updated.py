from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import StepError
from scaler.gateways.playbooks import UNREACHABLE
from scaler.steps import balancers_rehearsed
from scaler.steps.balancers_updated import STEP
from tests.fakes.control_plane import APISERVER, FakeControlPlane

if TYPE_CHECKING:
    from pathlib import Path

M1, M2 = FakeControlPlane.host("m1"), FakeControlPlane.host("m2")
BOTH = {"m1": "10.0.0.1", "m2": "10.0.0.2"}
ONE = {"m1": "10.0.0.1"}


def serves(there: FakeControlPlane) -> FakeControlPlane:
    """Let m2's API server run, so that it is one of the masters that serve."""
    there.machines["m2"].units.add(APISERVER)
    there.machines["m2"].lists = ("https://10.0.0.1:2379",)
    there.world.masters.append(M2)
    return there


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return serves(FakeControlPlane(tmp_path, "m2", balancers=3, vip=True))


@pytest.fixture
def local(tmp_path: Path) -> FakeControlPlane:
    return serves(FakeControlPlane(tmp_path, "m2", balancers=0, workers=23, loadbalancer="local"))


def puts(there: FakeControlPlane) -> list[str]:
    return [event.split()[1] for event in there.events if event.startswith("put ")]


def servers(there: FakeControlPlane) -> dict[str, dict[str, str]]:
    return {name: balancer.servers for name, balancer in there.balancers.items()}


def test_every_balancer_sends_to_all_masters(there: FakeControlPlane) -> None:
    assert STEP.apply(there.world, [M2]) == {}
    assert servers(there) == {"lb1": BOTH, "lb2": BOTH, "lb3": BOTH}


@pytest.mark.parametrize(("holder", "order"), [("lb1", ["lb2", "lb3", "lb1"]), ("lb2", ["lb1", "lb3", "lb2"])])
def test_the_one_that_holds_the_vip_is_told_last(there: FakeControlPlane, holder: str, order: list[str]) -> None:
    there.holder = holder
    STEP.apply(there.world, [M2])
    assert puts(there) == order


def test_balancers_that_send_there_already_are_not_reloaded(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    STEP.apply(there.world, [M2])
    assert [balancer.reloads for balancer in there.balancers.values()] == [1, 1, 1]


def test_a_master_that_was_set_aside_is_taken_back(there: FakeControlPlane) -> None:
    there.balancers["lb1"].servers = dict(BOTH)
    there.balancers["lb1"].drained = {"m1"}
    STEP.apply(there.world, [M2])
    assert there.balancers["lb1"].drained == set()


def test_where_the_second_one_refuses_the_first_is_given_back(there: FakeControlPlane) -> None:
    there.balancers["lb3"].refuses = "[ALERT] parsing error"
    with pytest.raises(StepError, match="is refused by haproxy, the old one stays"):
        STEP.apply(there.world, [M2])
    assert servers(there) == {"lb1": ONE, "lb2": ONE, "lb3": ONE}


def test_where_one_does_not_see_the_new_master_ready_all_are_given_back(there: FakeControlPlane) -> None:
    there.sick.add(("m2", APISERVER))
    with pytest.raises(StepError, match=r"lb2 does not serve m1, m2: down: 10\.0\.0\.2"):
        STEP.apply(there.world, [M2])
    assert servers(there) == {"lb1": ONE, "lb2": ONE, "lb3": ONE}
    assert "lb3" not in puts(there)


def test_one_that_cannot_be_given_back_is_named(there: FakeControlPlane) -> None:
    there.fakes.playbooks.fail = lambda _, host: "gone" if host == "lb2" and "put lb2 m1,m2" in there.events else ""
    there.balancers["lb3"].refuses = "no"
    with pytest.raises(StepError, match="lb2 keeps the new configuration: lb2: gone"):
        STEP.apply(there.world, [M2])


def test_a_cluster_whose_first_master_is_new_has_nothing_to_give_back(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path)
    there.balancers["lb2"].refuses = "no"
    there.balancers["lb1"].servers = {}
    with pytest.raises(StepError, match="refused by haproxy"):
        STEP.apply(there.world, [M1])
    assert servers(there) == {"lb1": ONE, "lb2": ONE}


def test_on_every_worker_one_is_told_alone_first_and_then_the_batches(local: FakeControlPlane) -> None:
    assert STEP.apply(local.world, [M2]) == {}
    assert {str(told) for told in servers(local).values()} == {str(BOTH)}
    told = [line.partition(":")[0].split(", ") for line in local.fakes.said if "send to" in line]
    assert [len(names) for names in told] == [1, *[2] * 11]
    assert told[0] == ["w1"]


def test_a_first_one_that_fails_stops_before_any_other_is_told(local: FakeControlPlane) -> None:
    local.balancers["w1"].refuses = "no"
    with pytest.raises(StepError):
        STEP.apply(local.world, [M2])
    assert set(puts(local)) == {"w1"}


def test_a_worker_that_is_not_reached_is_left_for_later_and_the_others_go_on(local: FakeControlPlane) -> None:
    lost = f"{UNREACHABLE}: Failed to connect"
    local.fakes.playbooks.fail = lambda _, host: lost if host == "w7" else ""
    assert STEP.apply(local.world, [M2]) == {}
    assert local.world.later == {"w7": f"its local balancer was not told the masters: {lost}"}
    assert [name for name, told in servers(local).items() if told != BOTH] == ["w7"]


def test_a_worker_whose_balancer_does_not_answer_stops_the_batches(local: FakeControlPlane) -> None:
    local.balancers["w4"].runs = False
    with pytest.raises(StepError, match="w4: "):
        STEP.apply(local.world, [M2])
    assert "w6" not in puts(local)


def test_the_rehearsal_changes_nothing(there: FakeControlPlane) -> None:
    there.world.masters.pop()
    assert balancers_rehearsed.STEP.apply(there.world, [M2]) == {}
    assert there.events == ["check lb1 m1,m2", "check lb2 m1,m2", "check lb3 m1,m2"]
    assert servers(there) == {"lb1": ONE, "lb2": ONE, "lb3": ONE}


def test_the_rehearsal_tells_every_balancer_that_would_refuse(there: FakeControlPlane) -> None:
    for name in ("lb1", "lb3"):
        there.balancers[name].refuses = "bad line"
    with pytest.raises(StepError) as caught:
        balancers_rehearsed.STEP.apply(there.world, [M2])
    assert [line.partition(":")[0] for line in caught.value.message.splitlines()] == ["lb1", "lb3"]


def test_of_balancers_on_every_worker_one_is_rehearsed_for_all(local: FakeControlPlane) -> None:
    local.world.masters.pop()
    balancers_rehearsed.STEP.apply(local.world, [M2])
    assert local.events == ["check w1 m1,m2"]


@pytest.mark.parametrize(
    ("driver", "vip", "told"),
    [
        ("haproxy", "10.0.0.100", "one after another, the holder of the VIP last: validate"),
        ("haproxy", None, "one after another: validate"),
        ("local", None, "on each worker, one first and then in batches"),
    ],
)
def test_what_the_step_says_it_does_is_its_order(
    there: FakeControlPlane, driver: str, vip: str | None, told: str
) -> None:
    settings = there.settings.model_copy(update={"loadbalancer": driver, "vip": vip})
    assert STEP.describe(there.world.plan, settings)[0].startswith(told)
