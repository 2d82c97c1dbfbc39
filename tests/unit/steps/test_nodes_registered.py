from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.plan.recipes.add_node import RUN_ANNOTATION
from scaler.steps.nodes_registered import STEP
from scaler.steps.verification_objects import verification_namespace
from tests.fakes.world import RUN, Fakes, host, hosts

if TYPE_CHECKING:
    from pathlib import Path

EARLIER = "20260228-120000-1234"


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path, hosts("n1", "n2"))


def test_a_node_is_made_cordoned_and_marked_with_the_run(fakes: Fakes) -> None:
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    for told in fakes.kube.of("Node").values():
        assert told["spec"]["unschedulable"] is True
        assert told["metadata"]["annotations"] == {RUN_ANNOTATION: RUN}
        assert told["metadata"]["labels"] == {"kubernetes.io/hostname": told["metadata"]["name"]}


def test_a_node_has_from_the_beginning_what_kubelets_and_the_node_lifecycle_write_into(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    status = fakes.kube.of("Node")["n1"]["status"]
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"]) == ("Ready", "False")
    assert condition["lastHeartbeatTime"] == condition["lastTransitionTime"] == "2026-03-01T02:00:00Z"
    assert status["capacity"]
    assert status["allocatable"]


def test_the_pod_cidrs_are_known_once_all_are_allocated(fakes: Fakes) -> None:
    fakes.kube.cidr_delay = 20
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert fakes.world.pod_cidrs == {"n1": "10.244.1.0/24", "n2": "10.244.2.0/24"}
    assert fakes.clock.monotonic() > 19


def test_a_node_that_gets_no_pod_cidr_fails_alone_and_is_told_where_to_look(fakes: Fakes) -> None:
    fakes.kube.cidrs = ["10.244.1.0/24"]
    failures = STEP.apply(fakes.world, fakes.hosts)
    assert set(failures) == {"n2"}
    assert "CIDRNotAvailable" in failures["n2"]


def test_a_node_of_an_earlier_run_is_cordoned_and_marked_as_this_runs(fakes: Fakes) -> None:
    fakes.kube.add_node("n1", cidr="10.244.7.0/24", annotations={RUN_ANNOTATION: EARLIER})
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    told = fakes.kube.of("Node")["n1"]
    assert told["spec"]["unschedulable"] is True
    assert told["metadata"]["annotations"] == {RUN_ANNOTATION: RUN}
    assert fakes.world.pod_cidrs["n1"] == "10.244.7.0/24"


def test_what_an_earlier_run_left_of_its_verification_is_deleted_and_nothing_else(fakes: Fakes) -> None:
    fakes.kube.add_node("n1", cidr="10.244.7.0/24", annotations={RUN_ANNOTATION: EARLIER})
    for name in (verification_namespace(EARLIER), verification_namespace("another")):
        fakes.kube.create([{"kind": "Namespace", "metadata": {"name": name}}])
    STEP.apply(fakes.world, fakes.hosts)
    assert set(fakes.kube.of("Namespace")) == {"default", "kube-system", verification_namespace("another")}


def test_a_step_that_is_repeated_changes_nothing(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    before = {name: told["metadata"]["uid"] for name, told in fakes.kube.of("Node").items()}
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert {name: told["metadata"]["uid"] for name, told in fakes.kube.of("Node").items()} == before


@pytest.mark.parametrize(
    ("version", "labels", "taint"),
    [
        ("1.20.2", {"control-plane", "master"}, "node-role.kubernetes.io/master"),
        ("1.24.0", {"control-plane", "master"}, "node-role.kubernetes.io/master"),
        ("1.25.0", {"control-plane"}, "node-role.kubernetes.io/control-plane"),
        ("1.37.0", {"control-plane"}, "node-role.kubernetes.io/control-plane"),
    ],
)
def test_a_master_has_the_role_labels_and_taint_of_its_version(
    tmp_path: Path, version: str, labels: set[str], taint: str
) -> None:
    fakes = Fakes(tmp_path, [host("m1", 1)], kubernetes_version=version)
    STEP.apply(fakes.world, fakes.hosts)
    told = fakes.kube.of("Node")["m1"]
    roles = {key.rpartition("/")[2] for key in told["metadata"]["labels"] if key.startswith("node-role")}
    assert roles == labels
    assert told["spec"]["taints"] == [{"key": taint, "effect": "NoSchedule"}]


def test_a_master_that_is_a_worker_too_has_no_taint(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, [host("m1", 1)], master_is_worker=True)
    STEP.apply(fakes.world, fakes.hosts)
    assert "taints" not in fakes.kube.of("Node")["m1"]["spec"]


def test_undo_deletes_the_node_of_this_run(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert set(fakes.kube.of("Node")) == {"n2"}


@pytest.mark.parametrize("annotations", [{}, {RUN_ANNOTATION: EARLIER}])
def test_undo_keeps_a_node_that_is_not_this_runs(fakes: Fakes, annotations: dict[str, str]) -> None:
    fakes.kube.add_node("n1", annotations=annotations)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert set(fakes.kube.of("Node")) == {"n1"}


def test_undo_of_a_node_that_was_never_made_is_no_error(fakes: Fakes) -> None:
    STEP.undo(fakes.world, fakes.hosts[0])
    assert fakes.kube.of("Node") == {}


def test_a_node_carries_its_pool_and_its_failure_domain_from_the_beginning(tmp_path: Path) -> None:
    n1 = host("n1", 11).model_copy(update={"pool": "web", "failure_domain": "rack-2"})
    pools = {"web": {"labels": {"disk": "ssd"}, "taints": ["dedicated=web:NoSchedule", "new:NoExecute"]}}
    fakes = Fakes(tmp_path, [n1], pools=pools)
    assert STEP.apply(fakes.world, [n1]) == {}
    told = fakes.kube.of("Node")["n1"]
    assert told["metadata"]["labels"] == {
        "kubernetes.io/hostname": "n1",
        "scaler.dev/pool": "web",
        "disk": "ssd",
        "topology.kubernetes.io/zone": "rack-2",
    }
    # What the node lifecycle taints is beside them.
    ours = [taint for taint in told["spec"]["taints"] if not taint["key"].startswith("node.kubernetes.io/")]
    assert ours == [
        {"key": "dedicated", "value": "web", "effect": "NoSchedule"},
        {"key": "new", "effect": "NoExecute"},
    ]
    assert "n1 carries scaler.dev/pool=web" in STEP.describe(fakes.world.plan, fakes.world.cluster.settings)[1]


def test_a_master_is_in_its_failure_domain_and_in_no_pool(tmp_path: Path) -> None:
    n1 = host("n1", 11).model_copy(update={"pool": "web", "failure_domain": "rack-2"})
    fakes = Fakes(tmp_path, [n1], pools={"web": {"taints": ["dedicated=web:NoSchedule"]}})
    fakes.world.plan = fakes.world.plan.model_copy(update={"makes": "masters"})
    STEP.apply(fakes.world, [n1])
    told = fakes.kube.of("Node")["n1"]
    assert told["metadata"]["labels"]["topology.kubernetes.io/zone"] == "rack-2"
    assert "scaler.dev/pool" not in told["metadata"]["labels"]
    assert "dedicated" not in [taint["key"] for taint in told["spec"]["taints"]]
