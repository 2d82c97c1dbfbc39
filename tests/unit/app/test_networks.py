"""How Services are forwarded is asked of nodes that live, and what a plan takes from it."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import add_node, networks
from scaler.errors import PreflightError
from scaler.gateways import kube
from scaler.model.network import Network
from tests.fakes import session as sessions
from tests.fakes.world import hosts

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.gateways.ssh import Said
    from scaler.model.inventory import Host


def looked(made: Any, **more: Any) -> networks.Looked:
    return networks.look(made, kube.look(made.kube), **more)


def test_the_mode_is_a_living_nodes_own(tmp_path: Path) -> None:
    made = sessions.session(tmp_path, hosts("n1"))
    machine = made.fakes.ssh.machines["m1"]
    machine.proxy_mode = "ipvs"
    assert looked(made).living.follows == {"kube_proxy_mode": "ipvs", "kube_proxy_ipvs_scheduler": "rr"}
    machine.proxy_scheduler = "sh"
    assert looked(made).living.follows["kube_proxy_ipvs_scheduler"] == "sh"


def test_a_master_that_does_not_answer_is_no_reason_not_to_know(tmp_path: Path) -> None:
    made = sessions.session(tmp_path, hosts("n1"), workers=(sessions_host("w1", 2),))
    made.fakes.ssh.machines["m1"].unreachable = True
    made.fakes.ssh.machines["w1"].proxy_mode = "nftables"
    assert looked(made).proxy.host == "w1"
    assert looked(made, without=["w1"]).proxy.why.startswith("m1: SSH does not answer")


def test_a_node_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sessions.session(tmp_path, hosts("n1"), workers=(sessions_host("w1", 2),))
    made.fakes.ssh.machines["w1"].proxy_mode = "ipvs"
    hanging = Event()

    def hangs(machine: Host, argv: list[str], _: str) -> Said | None:
        if machine.name == "m1" and any("proxyMode" in word for word in argv):
            hanging.wait()
        return None

    made.fakes.ssh.programs.append(hangs)
    try:
        assert looked(made).proxy.host == "w1"
        monkeypatch.setattr(networks, "SECONDS", 0.05)
        assert looked(made, without=["w1"]).proxy.why == "m1: no answer in 0.05 s"
        plan = add_node.prepare(made, hosts("n1"), keep_going=False, progress=lambda _: None).plan
    finally:
        hanging.set()
    assert not plan.empty


def test_where_no_node_answers_a_node_is_added_with_the_default_and_a_warning(tmp_path: Path) -> None:
    made = sessions.session(tmp_path, hosts("n1"))
    made.fakes.ssh.machines["m1"].unreachable = True
    plan = add_node.prepare(made, hosts("n1"), keep_going=False, progress=lambda _: None).plan
    assert plan.follows == {}
    assert [w for w in plan.warnings if "SSH does not answer" in w and w.endswith("it gets iptables")]


def test_where_no_node_answers_the_network_tells_that_it_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sessions.session(tmp_path, hosts("n1"))
    made.fakes.ssh.machines["m1"].unreachable = True
    monkeypatch.setattr(networks, "network", lambda _: Network(way="cilium", replaces_proxy=True))
    plan = add_node.prepare(made, hosts("n1"), keep_going=False, progress=lambda _: None).plan
    assert plan.follows == {"kube_proxy_mode": "none"}
    assert [w for w in plan.warnings if w.endswith("it gets none")]


def test_nodes_without_a_kube_proxy_have_none(tmp_path: Path) -> None:
    made = sessions.session(tmp_path, hosts("n1"))
    made.fakes.ssh.machines["m1"].running.discard("kube-proxy.service")
    assert looked(made).living.follows == {"kube_proxy_mode": "none"}


def test_the_plan_gives_a_new_node_what_the_old_ones_have(tmp_path: Path) -> None:
    made = sessions.session(tmp_path, hosts("n1"))
    made.fakes.ssh.machines["m1"].proxy_mode = "ipvs"
    plan = add_node.prepare(made, hosts("n1"), keep_going=False, progress=lambda _: None).plan
    assert plan.follows["kube_proxy_mode"] == "ipvs"


def test_an_inventory_that_says_another_mode_is_refused(tmp_path: Path) -> None:
    made = sessions.session(tmp_path, hosts("n1"), kube_proxy_mode="iptables")
    made.fakes.ssh.machines["m1"].proxy_mode = "ipvs"
    with pytest.raises(PreflightError, match="kube_proxy_mode is iptables in the inventory, and ipvs on m1"):
        add_node.prepare(made, hosts("n1"), keep_going=False, progress=lambda _: None)


def sessions_host(name: str, number: int) -> Any:
    from tests.fakes.world import host  # noqa: PLC0415

    return host(name, number)
