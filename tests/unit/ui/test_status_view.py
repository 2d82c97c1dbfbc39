from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scaler.model.status import (
    BackendSeen,
    BalancerSeen,
    CertificateSeen,
    EtcdSeen,
    MasterSeen,
    MemberSeen,
    NodeSeen,
    RunSeen,
    Status,
    Unknown,
)
from scaler.plan.health import problems
from scaler.ui.status_view import text, view

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCREEN = 50


def node(name: str, **more: Any) -> NodeSeen:
    told = {"name": name, "ready": True, "version": "1.20.2", "runtime": "containerd://1.6.20", **more}
    return NodeSeen.model_validate({"created": NOW - timedelta(days=3), "pod_cidr": "10.244.1.0/24", **told})


def status(**more: Any) -> Status:
    masters = tuple(
        MasterSeen(
            name=f"m{n}", address=f"10.0.0.{n}", ready=True, version="1.20.2", etcd_servers=("https://10.0.0.1:2379",)
        )
        for n in (1, 2, 3)
    )
    members = tuple(
        MemberSeen(
            name=f"m{n}", healthy=True, leader=n == 2, version="3.4.23", db_bytes=5 << 20, quota_bytes=2 << 30, term=4
        )
        for n in (1, 2, 3)
    )
    names = ("m1", "m2", "m3", "n1", "n2", "n3", "n4")
    base = Status(
        cluster="prod",
        at=NOW,
        endpoint="10.0.0.5:6443",
        api=True,
        version="1.20.2",
        hosts={"m1": ""},
        nodes=tuple(node(name) for name in names),
        masters=masters,
        etcd=EtcdSeen(members=members, leader="m2"),
        balancers=(BalancerSeen(name="lb1", backends=(BackendSeen(name="m1", up=True),)),),
        certificates=(CertificateSeen(host="m1", what="10.0.0.1:6443", ends=NOW + timedelta(days=300)),),
    )
    return base.model_copy(update=more)


def shown(seen: Status) -> str:
    return text(view(seen, problems(seen)))


def test_three_masters_and_four_workers_fit_one_screen() -> None:
    told = shown(status())
    assert len(told.splitlines()) <= SCREEN
    assert "everything is well" in told
    assert "leader m2" in told
    lines = [line.split() for line in told.splitlines()]
    assert ["node", "state", "roles", "kubelet", "runtime", "pods", "age"] in lines
    assert ["n4", "Ready", "-", "1.20.2", "containerd://1.6.20", "10.244.1.0/24", "3d"] in lines
    assert max(map(len, told.splitlines())) <= 120


def test_of_a_thousand_nodes_those_that_are_not_well_are_shown() -> None:
    many = tuple(node(f"n{n}", ready=n != 700, why="" if n != 700 else "no heartbeat") for n in range(1000))
    told = shown(status(nodes=many))
    assert "999 of 1000 Ready" in told
    assert "… and 999 more" in told
    assert "node n700 is not Ready: no heartbeat" in told
    assert len(told.splitlines()) <= SCREEN


def test_what_is_not_known_is_said_and_never_well() -> None:
    away = BalancerSeen(name="lb1", why="lb1: SSH does not answer: no answer")
    unknown = (Unknown(what="host lb1", why=away.why),)
    told = shown(status(nodes=None, balancers=(away,), certificates=(), unknown=unknown))
    assert "everything is well" not in told
    assert "not known: lb1: SSH does not answer" in told
    assert "next: see whether the host runs and whether SSH reaches it" in told


def test_a_problem_comes_with_what_to_do_next() -> None:
    told = shown(status(runs=(RunSeen(run="20260301-1", change="add-master", hosts=("m4",)),)))
    assert "✗ run 20260301-1 (add-master m4) is unfinished" in told
    assert "scaler runs resume 20260301-1" in told


def test_markup_in_what_hosts_say_is_text() -> None:
    told = shown(status(unknown=(Unknown(what="host m1", why="[red]no[/red] [/]"),)))
    assert "[red]no[/red] [/]" in told
