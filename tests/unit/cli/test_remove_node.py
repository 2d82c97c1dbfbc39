from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.cli.shrinking import seconds
from scaler.errors import InputError
from tests.fakes import world
from tests.fakes.leaving import inhabit
from tests.fakes.playbooks import Placed
from tests.fakes.session import Opened, session

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from tests.fakes.session import FakeSession

WORKERS = world.hosts("n1", "n2", "w1")


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = session(tmp_path, WORKERS, workers=WORKERS)
    made.fakes.kube.delete("nodes", ["w1"])
    inhabit(made.fakes, tmp_path, "n1", "n2", "w1")
    made.cluster = made.fakes.world.cluster
    for name in ("n1", "n2", "w1"):
        made.fakes.playbooks.hosts[name] = Placed()
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(made))
    return made


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, ["remove-node", *argv, "--cluster", "prod"])


def test_a_worker_is_gone_from_the_cluster_its_host_and_the_inventory(live: FakeSession, tmp_path: Path) -> None:
    live.fakes.kube.add_pod("web-1", "n1", "ReplicaSet/web")
    result = invoked("n1", "--yes", "--output", "json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["data"]["removed"], told["data"]["added"]) == (0, ["n1"], []), result.output
    assert live.fakes.kube.of("Node").keys() == {"m1", "n2", "w1"}
    assert live.fakes.ssh.machines["n1"].running == set()
    assert live.fakes.playbooks.hosts.keys() == {"n2", "w1"}
    assert "n1:" in (tmp_path / "hosts.yml").read_text().partition("standby:")[2]


def test_the_plan_tells_the_pods_and_changes_nothing(live: FakeSession, tmp_path: Path) -> None:
    before = (tmp_path / "hosts.yml").read_text()
    live.fakes.kube.add_pod("web-1", "n1", "ReplicaSet/web")
    result = invoked("n1", "--plan")
    assert result.exit_code == 0, result.output
    assert "n1: started anew on another node: default/web-1" in result.stdout
    assert live.fakes.kube.of("Node").keys() == {"m1", "n1", "n2", "w1"}
    assert not live.fakes.kube.of("Node")["n1"]["spec"].get("unschedulable")
    assert (tmp_path / "hosts.yml").read_text() == before


def test_a_node_that_cannot_be_emptied_is_opened_again_and_the_others_go(live: FakeSession) -> None:
    live.fakes.kube.add_pod("db-0", "n1", "StatefulSet/db", labels={"app": "db"})
    budget = {"selector": {"matchLabels": {"app": "db"}}, "minAvailable": 1}
    live.fakes.kube.add("PodDisruptionBudget", "db", "default", spec=budget)
    result = invoked("n1", "n2", "--yes", "--timeout", "5s")
    assert result.exit_code == 2, result.output
    assert "PodDisruptionBudget default/db (1 healthy, 1 wanted) does not let default/db-0 go" in result.stderr
    assert live.fakes.kube.of("Node").keys() == {"m1", "n1", "w1"}
    assert live.fakes.kube.of("Node")["n1"]["spec"]["unschedulable"] is False
    assert live.fakes.ssh.machines["n1"].running == {"kubelet.service", "kube-proxy.service"}


def test_with_keep_cordon_it_stays_closed(live: FakeSession) -> None:
    live.fakes.kube.add_pod("db-0", "n1", "StatefulSet/db")
    live.fakes.kube.pod_ends = lambda _: False
    assert invoked("n1", "--yes", "--timeout", "5", "--keep-cordon").exit_code == 9
    assert live.fakes.kube.of("Node")["n1"]["spec"]["unschedulable"] is True


def test_a_missing_option_ends_before_anything_is_touched(live: FakeSession) -> None:
    live.fakes.kube.add_pod("bare", "n1")
    result = invoked("n1", "--yes")
    assert result.exit_code == 4, result.output
    assert "--force" in result.stderr
    assert not live.fakes.kube.of("Node")["n1"]["spec"].get("unschedulable")


def test_what_is_absent_already_is_told(live: FakeSession) -> None:
    result = invoked("n9", "--yes")
    assert result.exit_code == 0, result.output
    assert "n9 is absent already: nothing to do" in result.stdout
    assert len(live.fakes.kube.of("Node")) == 4


def test_the_same_command_finishes_what_failed_after_the_node_was_deleted(live: FakeSession) -> None:
    live.fakes.playbooks.fails["worker_remove.yml", "n1"] = "no space"
    result = invoked("n1", "--yes")
    assert result.exit_code == 9, result.output
    assert "its node is deleted; the removal can only be finished" in result.stderr
    assert live.fakes.ssh.machines["n1"].running == set()
    live.fakes.playbooks.fails.clear()
    assert invoked("n1", "--yes").exit_code == 0
    assert live.fakes.playbooks.hosts.keys() == {"n2", "w1"}


@pytest.mark.parametrize(("text", "told"), [("300", 300), ("300s", 300), ("5m", 300), ("1h", 3600)])
def test_a_timeout_has_a_unit(text: str, told: int) -> None:
    assert seconds(text) == told


@pytest.mark.parametrize("text", ["", "0", "-1", "5 m", "1.5m", "m", "forever"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        seconds(text)
