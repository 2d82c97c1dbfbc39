from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.kubelet_stopped import STEP, UNITS
from tests.fakes.leaving import leaving

if TYPE_CHECKING:
    from pathlib import Path


def test_kubelet_and_kube_proxy_stop_on_those_that_leave_alone(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert {name: fakes.ssh.machines[name].running for name in ("n1", "n2")} == {"n1": set(), "n2": {*UNITS}}


def test_they_are_started_again_where_the_removal_is_taken_back(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert fakes.ssh.machines["n1"].running == {*UNITS}


def test_what_was_stopped_before_is_not_started(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.ssh.machines["n1"].running = {"kubelet.service"}
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert fakes.ssh.machines["n1"].running == {"kubelet.service"}


def test_a_kubelet_that_does_not_stop_fails_its_host(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    fakes.ssh.machines["n1"].stubborn = "kubelet.service still runs"
    failures = STEP.apply(fakes.world, fakes.hosts)
    assert set(failures) == {"n1"}
    assert failures["n1"].endswith("cannot be stopped: kubelet.service still runs")
    assert fakes.ssh.machines["n2"].running == set()


def test_a_host_that_does_not_answer_any_more_fails_alone(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    fakes.ssh.machines["n1"].unreachable = True
    assert "does not answer" in STEP.apply(fakes.world, fakes.hosts)["n1"]


def test_a_dead_host_is_not_contacted(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", dead=("n1",))
    del fakes.ssh.machines["n1"]
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    STEP.undo(fakes.world, fakes.hosts[0])


def test_what_an_earlier_run_stopped_is_started_too(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.ssh.machines["n1"].running = set()
    fakes.world.earlier = {"n1": ("20260301-000000-aaaa",)}
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert fakes.ssh.machines["n1"].running == {*UNITS}
