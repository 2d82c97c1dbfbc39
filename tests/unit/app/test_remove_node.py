from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app.remove_node import choose, prepare
from scaler.errors import InputError, PreflightError, UnreachableError
from scaler.gateways import kube
from scaler.gateways.ssh import HostKeyError, LoginError
from scaler.plan.plan import Drain, Seen
from scaler.plan.recipes.remove_node import EACH
from tests.fakes import world
from tests.fakes.leaving import inhabit
from tests.fakes.session import FakeSession, session

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.plan.plan import Plan

WORKERS = world.hosts("n1", "n2", "w1")


@pytest.fixture
def live(tmp_path: Path) -> FakeSession:
    made = session(tmp_path, WORKERS, workers=WORKERS, standby=(world.host("s1", 50),))
    made.fakes.kube.delete("nodes", ["w1"])
    inhabit(made.fakes, tmp_path, "n1", "n2", "w1")
    made.cluster = made.fakes.world.cluster
    return made


def prepared(live: FakeSession, *names: str, drain: Drain | None = None, dead: bool = False, at_once: int = 1) -> Plan:
    return prepare(live, names, drain=drain or Drain(), max_unavailable=at_once, dead=dead, progress=lambda _: None)


def off(live: FakeSession, name: str) -> None:
    live.fakes.ssh.machines[name].unreachable = True
    live.fakes.kube.of("Node")[name]["status"]["conditions"][0]["status"] = "Unknown"


def test_all_are_closed_first_and_then_emptied_one_after_the_other(live: FakeSession) -> None:
    plan = prepared(live, "n2", "n1")
    assert [(spec.step, spec.hosts) for spec in plan.steps] == [
        ("nodes_cordoned", ("n2", "n1")),
        *((step, ("n2",)) for step in EACH),
        *((step, ("n1",)) for step in EACH),
    ]
    assert (plan.leaves, plan.on_failure) == ("workers", "isolate")


def test_so_many_are_emptied_at_once_as_may_be_unavailable(live: FakeSession) -> None:
    plan = prepared(live, "n1", "n2", "w1", at_once=2)
    assert [spec.hosts for spec in plan.steps if spec.step == "nodes_drained"] == [("n1", "n2"), ("w1",)]


def test_the_plan_knows_each_node_and_machine_it_saw(live: FakeSession) -> None:
    uid = live.fakes.kube.of("Node")["n1"]["metadata"]["uid"]
    assert prepared(live, "n1").seen == {"n1": Seen(uid=uid, machine_id="machine-n1")}


def test_a_name_that_is_nowhere_is_absent_already(live: FakeSession) -> None:
    plan = prepared(live, "n9", "s1")
    assert (plan.empty, plan.present) == (True, ("n9", "s1"))


def test_a_worker_whose_node_is_gone_already_is_finished(live: FakeSession) -> None:
    live.fakes.kube.delete("nodes", ["n1"])
    plan = prepared(live, "n1")
    assert [host.name for host in plan.hosts] == ["n1"]
    assert plan.seen["n1"] == Seen(machine_id="machine-n1")


@pytest.mark.parametrize(
    ("names", "told", "hint"),
    [
        (["m1"], "m1 is a master", "scaler remove-master m1"),
        (["n1", "n1"], "n1 is given twice", ""),
        (["$(touch canary)"], "is not the name of a node", ""),
        (["../n1"], "is not the name of a node", ""),
        (["x1"], "x1 is a node of the cluster, but not in", "--dead"),
    ],
)
def test_a_wrong_name_is_refused(live: FakeSession, names: list[str], told: str, hint: str) -> None:
    live.fakes.kube.add_node("x1")
    with pytest.raises(InputError) as refused:
        prepared(live, *names)
    assert told in refused.value.message
    assert hint in refused.value.hint


def test_a_node_with_a_masters_role_is_a_master_whatever_the_inventory_says(live: FakeSession) -> None:
    live.fakes.kube.add_node("n8", labels={"node-role.kubernetes.io/master": ""})
    with pytest.raises(InputError, match="n8 is a master"):
        prepared(live, "n8")


def test_a_member_of_etcd_is_refused(live: FakeSession, tmp_path: Path) -> None:
    cluster = world.cluster(tmp_path, etcd=(world.host("e1", 60),))
    with pytest.raises(InputError, match="e1 is a member of etcd"):
        choose(cluster, kube.look(live.kube), ["e1"], dead=False)


def test_a_host_that_cannot_be_reached_is_refused_with_the_way_out(live: FakeSession) -> None:
    off(live, "n1")
    with pytest.raises(PreflightError, match="n1 cannot be reached") as refused:
        prepared(live, "n1")
    assert "--dead" in refused.value.hint


def test_another_machine_than_the_nodes_is_refused(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].files["/etc/machine-id"] = "another\n"
    with pytest.raises(PreflightError, match="the host has machine-id another, its node machine-n1"):
        prepared(live, "n1")


def test_another_clusters_host_is_refused(live: FakeSession) -> None:
    claim = {"claim": {"cluster": "other", "node": "x"}}
    live.fakes.ssh.machines["n1"].files["/var/lib/scaler/worker.json"] = json.dumps(claim)
    with pytest.raises(PreflightError, match="n1: the host says it is node x of cluster other"):
        prepared(live, "n1")


def test_an_address_that_is_not_the_nodes_is_refused(live: FakeSession) -> None:
    live.fakes.kube.of("Node")["n1"]["status"]["addresses"][0]["address"] = "10.0.0.99"
    with pytest.raises(PreflightError, match=r"the inventory says 10.0.0.11, its node has 10.0.0.99"):
        prepared(live, "n1")


@pytest.mark.parametrize(
    ("owner", "more", "option"),
    [
        ("", {}, "--force"),
        ("DaemonSet/net", {}, "--ignore-daemonsets"),
        ("ReplicaSet/web", {"volumes": [{"name": "cache", "emptyDir": {}}]}, "--delete-emptydir-data"),
    ],
)
def test_a_pod_that_loses_something_is_named_with_the_option_it_needs(
    live: FakeSession, owner: str, more: dict[str, Any], option: str
) -> None:
    live.fakes.kube.add_pod("x", "n1", owner, **more)
    with pytest.raises(PreflightError, match="default/x") as refused:
        prepared(live, "n1")
    assert refused.value.hint == f"say {option} if that may be; nothing was touched"


def test_pods_of_nodes_that_stay_need_no_option(live: FakeSession) -> None:
    live.fakes.kube.add_pod("x", "n2")
    assert prepared(live, "n1").pods == ()


def test_the_last_node_that_takes_pods_is_warned_of(live: FakeSession) -> None:
    live.fakes.kube.of("Node")["m1"]["spec"]["taints"] = [{"key": "x", "effect": "NoSchedule"}]
    assert prepared(live, "n1", "n2").warnings == ()
    (warning,) = prepared(live, "n1", "n2", "w1").warnings
    assert "no node is left that takes pods" in warning


def test_a_dead_host_is_proven_by_silence_and_by_its_node(live: FakeSession) -> None:
    off(live, "n1")
    live.fakes.kube.add_pod("bare", "n1")
    plan = prepared(live, "n1", dead=True)
    assert (plan.dead, plan.living(plan.hosts)) == (("n1",), [])
    assert [pod.name for pod in plan.pods] == ["bare"]
    assert any("run twice" in warning for warning in plan.warnings)


def test_a_dead_host_whose_node_is_gone_already_is_finished(live: FakeSession) -> None:
    off(live, "n1")
    live.fakes.kube.delete("nodes", ["n1"])
    assert prepared(live, "n1", dead=True).dead == ("n1",)


def test_a_dead_node_that_no_inventory_knows_goes_too(live: FakeSession) -> None:
    live.fakes.kube.add_node("x1", ready=False, address="10.0.0.77")
    silent: Any = lambda *_, **__: _raise(UnreachableError("x1: no answer"))  # noqa: E731
    live.ssh.run = silent  # type: ignore[method-assign]
    assert [host.address for host in prepared(live, "x1", dead=True).hosts] == ["10.0.0.77"]


def test_a_host_that_answers_is_not_dead(live: FakeSession) -> None:
    live.fakes.kube.of("Node")["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    with pytest.raises(PreflightError, match="n1 is not dead: SSH answers there"):
        prepared(live, "n1", dead=True)


@pytest.mark.parametrize("no", [HostKeyError("the key changed"), LoginError("not accepted")])
def test_a_host_that_answers_no_is_not_dead(live: FakeSession, no: UnreachableError) -> None:
    off(live, "n1")
    live.ssh.run = lambda *_, **__: _raise(no)  # type: ignore[method-assign, assignment]
    with pytest.raises(PreflightError, match="SSH answers there"):
        prepared(live, "n1", dead=True)


def test_a_host_whose_node_is_ready_is_not_dead(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].unreachable = True
    with pytest.raises(PreflightError, match="its node is Ready"):
        prepared(live, "n1", dead=True)


def test_who_goes_on_standby_lives_and_has_no_other_duty(live: FakeSession) -> None:
    def wanted(*, dead: bool = False) -> Plan:
        return prepare(
            live, ["n1"], drain=Drain(), max_unavailable=1, dead=dead, to_standby=True, progress=lambda _: None
        )

    assert wanted().to_standby is True
    with pytest.raises(InputError, match="--to-standby is for hosts that live"):
        wanted(dead=True)
    live.cluster = live.cluster.model_copy(update={"loadbalancers": (WORKERS[0],)})
    with pytest.raises(InputError, match="n1 is one of the loadbalancers"):
        wanted()


def _raise(error: Exception) -> None:
    raise error
