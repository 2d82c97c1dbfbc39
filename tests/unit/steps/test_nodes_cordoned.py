from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.plan import Drain
from scaler.steps.leaving import MARK
from scaler.steps.nodes_cordoned import STEP
from tests.fakes.leaving import leaving
from tests.fakes.world import RUN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.world import Fakes


def closed(fakes: Fakes) -> dict[str, bool]:
    return {name: bool(fakes.kube.of("Node")[name]["spec"].get("unschedulable")) for name in ("n1", "n2", "w1")}


def test_all_that_leave_are_closed_and_nobody_else(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert closed(fakes) == {"n1": True, "n2": True, "w1": False}
    assert fakes.kube.of("Node")["n1"]["metadata"]["annotations"] == {MARK: RUN}


def test_what_this_run_closed_is_opened_again(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert not closed(fakes)["n1"]
    assert fakes.kube.of("Node")["n1"]["metadata"]["annotations"] == {}


def test_what_the_operator_closed_stays_closed(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.of("Node")["n1"]["spec"]["unschedulable"] = True
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert closed(fakes)["n1"]


def test_what_a_killed_run_closed_is_this_runs_to_open(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    node = fakes.kube.of("Node")["n1"]
    node["spec"]["unschedulable"], node["metadata"]["annotations"] = True, {MARK: "another"}
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert not closed(fakes)["n1"]


def test_a_node_that_is_to_stay_closed_stays_closed(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", drain=Drain(keep_cordon=True))
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert closed(fakes)["n1"]


def test_another_node_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    fakes.kube.delete("nodes", ["n1"])
    fakes.kube.add_node("n1", machine_id="another")
    assert "is not the one that was planned for" in STEP.apply(fakes.world, fakes.hosts)["n1"]
    assert closed(fakes) == {"n1": False, "n2": True, "w1": False}


def test_a_node_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.delete("nodes", ["n1"])
    assert STEP.apply(fakes.world, fakes.hosts) == {}


def test_what_a_run_closed_with_which_this_one_goes_on_is_opened_and_no_others(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    for name, run in (("n1", "20260301-000000-aaaa"), ("n2", "20260301-000000-bbbb")):
        node = fakes.kube.of("Node")[name]
        node["spec"]["unschedulable"] = True
        node["metadata"]["annotations"] = {MARK: run}
    fakes.world.earlier = {"n1": ("20260301-000000-aaaa",), "n2": ("20260301-000000-aaaa",)}
    for host in fakes.hosts:
        STEP.undo(fakes.world, host)
    assert closed(fakes) == {"n1": False, "n2": True, "w1": False}
