from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import scale_workers
from scaler.app.scale_workers import How, prepare
from scaler.errors import GuardError, InputError, PreflightError
from scaler.plan.recipes.add_node import RUN_ANNOTATION, STEPS
from tests.fakes import world
from tests.fakes.leaving import inhabit
from tests.fakes.session import FakeSession, facts, session

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan

POOLS = {"web": {"min": 1, "max": 3, "labels": {"disk": "ssd"}}, "batch": {}}


def placed(name: str, number: int, **more: str) -> Host:
    return world.host(name, number).model_copy(update=more)


N1 = placed("n1", 11, pool="web", failure_domain="a")
N2 = placed("n2", 12, pool="web", failure_domain="a")
W1 = placed("w1", 13, pool="web", failure_domain="a")
S1 = placed("s1", 21, pool="web", failure_domain="a")
S2 = placed("s2", 22, pool="web", failure_domain="b")
S3 = placed("s3", 23)


@pytest.fixture
def live(tmp_path: Path) -> FakeSession:
    everyone = (N1, N2, W1, S1, S2, S3)
    made = session(tmp_path, everyone, workers=(N1, W1), standby=(S1, S2, S3, N2), pools=POOLS)
    made.fakes.kube.delete("nodes", ["w1"])
    inhabit(made.fakes, tmp_path, "n1", "w1")
    made.cluster = made.fakes.world.cluster
    return made


def planned(live: FakeSession, pool: str | None, wanted: str, **how: Any) -> Plan:
    return prepare(live, pool, wanted, How(**how), progress=lambda _: None)


def names(plan: Plan) -> list[str]:
    return [host.name for host in plan.hosts]


def unfit(live: FakeSession, host: Host) -> None:
    live.fakes.ssh.machines[host.name].facts = facts(host, swaps=["/dev/sda2"])


def test_more_are_picked_from_standby_spread_and_get_all_that_add_node_does(live: FakeSession) -> None:
    before = set(live.fakes.kube.objects)
    plan = planned(live, "web", "3")
    assert names(plan) == ["s2"]
    assert [spec.step for spec in plan.steps] == list(STEPS)
    assert plan.sizing is not None
    assert (plan.sizing.pool, plan.sizing.before, plan.sizing.wanted, plan.sizing.short) == ("web", 2, 3, 0)
    assert set(live.fakes.kube.objects) == before


def test_all_workers_are_counted_where_no_pool_is_named(live: FakeSession) -> None:
    assert names(planned(live, None, "+2")) == ["s2", "s3"]


def test_an_unfit_host_is_passed_over_and_told(live: FakeSession) -> None:
    unfit(live, S2)
    plan = planned(live, "web", "+1")
    assert names(plan) == ["n2"]
    assert any("s2 is passed over: swap: swap is on" in warning for warning in plan.warnings)


def test_a_host_that_does_not_answer_is_passed_over(live: FakeSession) -> None:
    live.fakes.ssh.machines["s2"].unreachable = True
    plan = planned(live, "web", "+1")
    assert names(plan) == ["n2"]
    assert plan.sizing
    assert set(plan.sizing.passed_over) == {"s2"}


def test_too_few_are_refused_with_everyone_who_was_passed_over_and_why(live: FakeSession) -> None:
    for host in (S1, N2, S3):
        unfit(live, host)
    with pytest.raises(PreflightError) as refused:
        planned(live, None, "+2")
    told = refused.value.message
    assert "the cluster is to get 2 more workers, and of its hosts on standby 1 can be taken: s2" in told
    assert [name for name in ("s1", "s3", "n2") if f"{name}: passed over: swap: swap is on" in told] == [
        "s1",
        "s3",
        "n2",
    ]
    assert "--partial takes what is there" in refused.value.hint


def test_partial_takes_what_is_there_and_says_how_many_are_missing(live: FakeSession) -> None:
    for host in (S1, N2, S3):
        unfit(live, host)
    plan = planned(live, None, "+2", partial=True)
    assert names(plan) == ["s2"]
    assert plan.sizing
    assert (plan.sizing.short, set(plan.sizing.passed_over)) == (1, {"s1", "s3", "n2"})


def test_partial_of_nothing_is_refused(live: FakeSession) -> None:
    for host in (S1, S2, N2, S3):
        unfit(live, host)
    with pytest.raises(PreflightError, match="0 can be taken"):
        planned(live, None, "+2", partial=True)


def test_a_host_that_a_killed_run_left_half_joined_is_taken_first(live: FakeSession) -> None:
    live.fakes.kube.add_node("s1", address=S1.address, annotations={RUN_ANNOTATION: "earlier"})
    assert names(planned(live, "web", "3")) == ["s1"]


def test_a_worker_without_a_node_is_taken_first(live: FakeSession) -> None:
    live.fakes.kube.delete("nodes", ["w1"])
    assert names(planned(live, "web", "2")) == ["w1"]


def test_a_node_that_nobody_knows_the_maker_of_is_passed_over(live: FakeSession) -> None:
    live.fakes.kube.add_node("s2", address=S2.address, ready=False)
    plan = planned(live, "web", "+1")
    assert names(plan) == ["n2"]
    assert plan.sizing
    assert "no run of scaler made it" in plan.sizing.passed_over["s2"]


def test_fewer_leave_for_standby_with_their_nodes_drained(live: FakeSession) -> None:
    live.fakes.kube.of("Node")["n1"]["status"]["conditions"][0]["status"] = "False"
    plan = planned(live, "web", "-1")
    assert names(plan) == ["n1"]
    assert (plan.leaves, plan.to_standby, plan.change) == ("workers", True, "remove-node")
    assert plan.drain
    assert plan.drain.ignore_daemonsets


def test_a_bound_is_a_guard(live: FakeSession) -> None:
    for wanted in ("4", "0"):
        with pytest.raises(GuardError, match="pool web has"):
            planned(live, "web", wanted)


def test_all_workers_keep_each_pools_min(live: FakeSession) -> None:
    with pytest.raises(GuardError, match="pool web has min 1") as refused:
        planned(live, None, "0")
    assert refused.value.hint == "ask for 1; nothing was touched"


def test_the_size_that_is_there_needs_nothing(live: FakeSession) -> None:
    plan = planned(live, "web", "2")
    assert plan.empty
    assert plan.sizing
    assert (plan.sizing.before, plan.sizing.wanted) == (2, 2)


def test_an_unknown_pool_is_refused_with_those_there_are(live: FakeSession) -> None:
    with pytest.raises(InputError, match="has no pool wbe") as refused:
        planned(live, "wbe", "2")
    assert "web, batch" in refused.value.hint


def test_a_pool_is_found_by_its_name(live: FakeSession) -> None:
    assert scale_workers.of_pool(live.cluster, None) is None
    web = scale_workers.of_pool(live.cluster, "web")
    assert web
    assert web.max == 3
