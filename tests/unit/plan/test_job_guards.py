from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scaler.model.job_record import Ends, Health
from scaler.model.jobs import Guards
from scaler.model.status import CertificateSeen, EtcdSeen, MemberSeen, NodeSeen, Status
from scaler.plan import job_guards
from scaler.plan.job_guards import Change

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def plan(*names: str, leaves: str = "", joins: tuple[str, ...] = (), idle: tuple[str, ...] = ()) -> dict[str, Any]:
    hosts = [{"name": name} for name in (*names, *idle)]
    return {"plan": {"hosts": hosts, "steps": [{"step": "x", "hosts": list(names)}], "leaves": leaves, "joins": joins}}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (plan("n1", "n2"), Change(2, 0)),
        (plan("n1", "n2", leaves="workers"), Change(0, 2)),
        (plan("n1", "n2", leaves="workers", joins=("n2",)), Change(1, 1)),
        (plan("n1", idle=("n2",)), Change(1, 0)),
        ({"plan": {"hosts": [], "steps": []}}, Change(0, 0)),
        ({"plan": {"wants": {"pool": "web", "size": 7, "before": 4}, "hosts": [{"name": "web"}]}}, Change(3, 0)),
        ({"plan": {"wants": {"pool": "web", "size": 1, "before": 4}, "hosts": [{"name": "web"}]}}, Change(0, 3)),
        ({}, Change(0, 0)),
    ],
)
def test_what_a_plan_would_change_is_counted(data: dict[str, Any], expected: Change) -> None:
    assert job_guards.change(data) == expected


def test_a_change_that_is_too_large_is_refused_with_both_numbers() -> None:
    guards = Guards(max_change=2)
    assert job_guards.too_much(guards, Change(1, 1)) == ""
    assert "change 3 nodes (add 1, remove 2), and max_change is 2" in job_guards.too_much(guards, Change(1, 2))
    assert job_guards.too_much(Guards(), Change(100, 0)) == ""


def test_nodes_that_leave_do_not_count_as_ready() -> None:
    guards, seen = Guards(min_ready=3), Health(api=True, ready=4)
    assert job_guards.too_few(guards, Change(0, 1), seen) == ""
    told = job_guards.too_few(guards, Change(0, 2), seen)
    assert told == "4 nodes are Ready, 2 of them would leave, and min_ready is 3"


@pytest.mark.parametrize("seen", [None, Health(), Health(api=True)])
def test_what_nobody_told_is_not_enough(seen: Health | None) -> None:
    assert "nobody told" in job_guards.too_few(Guards(min_ready=1), Change(), seen)


def runs(*owners: str) -> list[Any]:
    return [SimpleNamespace(name=f"run{n}", job=owner, change="scale") for n, owner in enumerate(owners)]


def test_a_run_of_somebody_elses_stands_in_the_way_and_an_own_one_does_not() -> None:
    told = runs("night", "", "morning")
    assert job_guards.own(told, "night") == ["run0"]
    assert job_guards.foreign(Guards(), told, "night") == (
        "unfinished: run1 (scale, by hand), run2 (scale, job morning)"
    )
    assert job_guards.foreign(Guards(no_unfinished=False), told, "night") == ""
    assert job_guards.foreign(Guards(), runs("night"), "night") == ""


def status(**told: Any) -> dict[str, Any]:
    members = tuple(MemberSeen(name=f"m{n}", healthy=n != told.get("sick")) for n in range(3))
    seen = Status(
        cluster="prod",
        at=NOW,
        endpoint="192.0.2.1:6443",
        api=True,
        nodes=(NodeSeen(name="n1", ready=True), NodeSeen(name="n2", ready=False)),
        etcd=EtcdSeen(members=members, leader=told.get("leader", "m0")),
        certificates=(CertificateSeen(host="m1", what="ca.crt", ends=NOW + timedelta(days=12, hours=12)),),
    )
    problems = [{"message": "bad", "next": "", "warning": False}, {"message": "meh", "next": "", "warning": True}]
    return {**seen.model_dump(mode="json"), "problems": problems}


def test_health_is_what_status_tells() -> None:
    seen = cast("Health", job_guards.health(status()))
    assert (seen.nodes, seen.ready, seen.voters, seen.healthy_voters, seen.etcd_well) == (2, 1, 3, 3, True)
    assert seen.certificates == (Ends(host="m1", what="ca.crt", days=12.5),)
    assert seen.problems == ("bad",)


@pytest.mark.parametrize("told", [{"sick": 1}, {"leader": ""}])
def test_etcd_is_well_only_whole_and_led(told: dict[str, Any]) -> None:
    assert cast("Health", job_guards.health(status(**told))).etcd_well is False


def test_a_managed_cluster_has_nodes_and_no_etcd() -> None:
    pool = {
        "id": "1",
        "name": "web",
        "target": 2,
        "actual": 2,
        "ready": 2,
        "state": "ready",
        "label": "p",
        "value": "web",
    }
    data = {
        "cluster": "c",
        "kind": "tke",
        "region": "r",
        "at": NOW.isoformat(),
        "api": True,
        "pools": [pool],
        "nodes": 3,
    }
    seen = cast("Health", job_guards.health({**data, "problems": []}))
    assert (seen.nodes, seen.ready, seen.voters, seen.etcd_well) == (3, 2, None, None)


def test_nothing_told_is_nothing_known() -> None:
    assert job_guards.health({}) is None


def test_certificates_that_end_soon_are_named_the_first_to_end_at_the_head() -> None:
    ends = (
        Ends(host="m1", what="a", days=40),
        Ends(host="m2", what="b", days=20.4),
        Ends(host="m3", what="c", days=-1),
    )
    seen = Health(certificates=ends)
    assert job_guards.ending(seen, 30) == ["c of m3 is over", "b of m2 ends in 20 days"]
    assert job_guards.ending(None, 30) == []
