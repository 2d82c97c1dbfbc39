from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.drivers import cni
from scaler.errors import StepError, UnreachableError
from scaler.steps.nodes_deleted import STEP
from tests.fakes.kubelets import serving_spec
from tests.fakes.leaving import leaving

if TYPE_CHECKING:
    from pathlib import Path


class _Keeping(cni.Plain):
    node_kinds = ("configmaps",)


def test_exactly_the_nodes_that_leave_are_deleted(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert fakes.kube.of("Node").keys() == {"m1", "n2", "w1"}


def test_it_can_be_repeated(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    STEP.apply(fakes.world, fakes.hosts)
    assert STEP.apply(fakes.world, fakes.hosts) == {}


def test_its_waiting_requests_go_and_nobody_elses(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    for name in ("n1", "n2"):
        fakes.kube.submit(f"csr-{name}", **serving_spec(name, "10.0.0.11"))
    STEP.apply(fakes.world, fakes.hosts)
    assert fakes.kube.of("CertificateSigningRequest").keys() == {"csr-n2"}


def test_another_machines_new_node_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.delete("nodes", ["n1"])
    fakes.kube.add_node("n1", machine_id="another")
    assert "is left alone" in STEP.apply(fakes.world, fakes.hosts)["n1"]
    assert "n1" in fakes.kube.of("Node")


def test_the_same_machines_node_that_was_registered_anew_goes(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.delete("nodes", ["n1"])
    fakes.kube.add_node("n1", machine_id="machine-n1")
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert "n1" not in fakes.kube.of("Node")


def test_an_api_that_is_away_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.unreached = lambda _: "no route to host" if fakes.clock.monotonic() < 5 else ""
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert "n1" not in fakes.kube.of("Node")


def test_an_api_that_stays_away_fails_the_host(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.down = "no route to host"
    assert "no route to host" in STEP.apply(fakes.world, fakes.hosts)["n1"]


def test_what_the_network_keeps_for_the_node_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = leaving(tmp_path, "n1")
    monkeypatch.setattr(cni, "of", lambda _: _Keeping())
    fakes.kube.add("ConfigMap", "n1")
    fakes.kube.add("ConfigMap", "n2")
    STEP.apply(fakes.world, fakes.hosts)
    assert fakes.kube.of("ConfigMap").keys() == {"n2"}


def test_from_here_on_nothing_is_taken_back() -> None:
    assert STEP.commits


def test_a_node_that_may_be_deleted_is_not_put_back_and_one_that_is_there_is(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    STEP.undo(fakes.world, fakes.hosts[0])
    node = fakes.kube.of("Node")["n1"]
    node["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(StepError, match="the removal can only be finished"):
        STEP.undo(fakes.world, fakes.hosts[0])
    STEP.apply(fakes.world, fakes.hosts)
    with pytest.raises(StepError, match="node n1 is deleted; the removal can only be finished"):
        STEP.undo(fakes.world, fakes.hosts[0])
    fakes.kube.down = "no route to host"
    with pytest.raises(UnreachableError):
        STEP.undo(fakes.world, fakes.hosts[0])
