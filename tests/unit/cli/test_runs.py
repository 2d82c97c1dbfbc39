from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scaler.app import add_master, add_node
from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.engine import history
from tests.fakes import world
from tests.fakes.session import FakeSession, session
from tests.unit.engine.test_resume import KilledError, Killer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from scaler.engine.history import Run
    from scaler.model.inventory import Cluster

NEW = world.hosts("n1", "n2")


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = session(tmp_path, NEW, standby=NEW, workers=(world.host("w1", 2),))

    @contextmanager
    def door(_: Cluster) -> Iterator[FakeSession]:
        made.clock.sleep(1)
        digest = hashlib.sha256(made.cluster.hosts_file.read_bytes()).hexdigest()
        made.cluster = made.cluster.model_copy(update={"hosts_digest": digest})
        yield made

    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", door)
    return made


def killed(live: FakeSession, number: int, *names: str) -> Run:
    live.clock.sleep(1)
    chosen = [each for each in NEW if each.name in names]
    plan = add_node.prepare(live, chosen, keep_going=False, progress=lambda _: None).plan
    with pytest.raises(KilledError):
        live.run(plan, [Killer("step-intent", number)])
    return history.runs("prod")[-1]


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, [*argv, "--cluster", "prod"])


def told(*argv: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoked(*argv, "--output", "json").stdout)
    return found


def is_open(live: FakeSession, name: str) -> bool:
    return not live.fakes.kube.of("Node")[name]["spec"].get("unschedulable")


def test_a_killed_run_is_listed_gone_on_with_and_settled(live: FakeSession) -> None:
    run = killed(live, 3, "n1", "n2")
    listed = told("runs", "list", "--unfinished")["data"]["runs"]
    assert [(each["run"], each["status"], each["half_way"]) for each in listed] == [
        (run.name, "interrupted", ["n1", "n2"])
    ]
    data = told("runs", "resume", "--yes")["data"]
    assert (data["added"], data["plan"]["resumes"]) == (["n1", "n2"], run.name)
    assert is_open(live, "n1")
    assert told("runs", "list", "--unfinished")["data"]["runs"] == []
    newest, oldest = told("runs", "list")["data"]["runs"]
    assert (newest["status"], newest["resumes"]) == ("done", run.name)
    assert oldest["taken_over"] == dict.fromkeys(["n1", "n2"], newest["run"])
    assert f"resumed by {newest['run']}" in invoked("runs", "list").output


def test_the_list_is_of_the_newest_first(live: FakeSession) -> None:
    names = [killed(live, 1, "n1").name, killed(live, 2, "n1").name]
    assert [each["run"] for each in told("runs", "list")["data"]["runs"]] == names[::-1]


def test_a_run_is_shown_with_its_plan_events_and_what_to_do_next(live: FakeSession) -> None:
    run = killed(live, 3, "n1")
    shown = invoked("runs", "show", run.name[:12]).output
    for part in ("add-node n1: interrupted", "Join the kubelets", "step-intent", f"scaler runs resume {run.name}"):
        assert part in shown
    data = told("runs", "show", run.name)["data"]
    assert data["plan"]["change"] == "add-node"
    assert [event["kind"] for event in data["events"]][:2] == ["run-started", "step-intent"]


def test_a_journal_that_is_not_understood_is_listed_and_not_gone_on_with(live: FakeSession, tmp_path: Path) -> None:
    run = killed(live, 3, "n1")
    path = tmp_path / "state" / "prod" / "runs" / f"{run.name}.jsonl"
    path.write_text(path.read_text().replace('"version":1', '"version":9'))
    assert told("runs", "list")["data"]["runs"][0]["run"] == run.name
    refused = told("runs", "resume", run.name, "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (3, "input")
    assert "form 9" in refused["error"]["message"]
    assert told("runs", "rollback", run.name, "--yes")["exit_code"] == 3


def test_where_several_runs_are_unfinished_one_is_to_be_named(live: FakeSession) -> None:
    first, second = killed(live, 2, "n1"), killed(live, 2, "n2")
    refused = told("runs", "resume", "--yes")
    assert refused["exit_code"] == 3
    assert first.name in refused["error"]["message"]
    assert second.name in refused["error"]["message"]
    assert told("runs", "resume", second.name, "--yes")["data"]["added"] == ["n2"]
    assert told("runs", "resume", "--yes")["data"]["added"] == ["n1"]


def test_where_no_run_is_unfinished_there_is_nothing_to_go_on_with(live: FakeSession) -> None:
    del live
    assert told("runs", "resume", "--yes")["error"]["message"] == "no run is unfinished"


def test_a_run_that_is_done_is_not_done_again(live: FakeSession) -> None:
    invoked("add-node", "n1", "--yes")
    del live.fakes.kube.objects["Node", "", "n1"]
    refused = told("runs", "resume", history.runs("prod")[-1].name, "--yes")
    assert (refused["exit_code"], "n1" in live.fakes.kube.of("Node")) == (3, False)
    assert "is done" in refused["error"]["message"]


def test_a_run_that_another_took_over_is_not_gone_on_with(live: FakeSession) -> None:
    first, second = killed(live, 2, "n1"), killed(live, 3, "n1")
    refused = told("runs", "resume", first.name, "--yes")
    assert refused["error"]["message"] == f"run {first.name} was taken over by {second.name}"


def test_where_nothing_is_missing_any_more_that_is_noted_without_a_question(live: FakeSession) -> None:
    run = killed(live, 6, "n1")
    live.cluster = live.cluster.model_copy(update={"workers": (*live.cluster.workers, NEW[0]), "standby": NEW[1:]})
    result = told("runs", "resume")
    assert (result["exit_code"], result["data"]["present"], result["data"]["changed"]) == (0, ["n1"], False)
    assert told("runs", "list", "--unfinished")["data"]["runs"] == []
    assert told("runs", "list")["data"]["runs"][0]["resumes"] == run.name


def test_a_plan_of_what_is_missing_is_shown_and_nothing_is_changed(live: FakeSession) -> None:
    killed(live, 3, "n1")
    data = told("runs", "resume", "--plan")["data"]
    assert ([host["name"] for host in data["plan"]["hosts"]], data["run"]) == (["n1"], None)
    assert not is_open(live, "n1")
    assert len(history.runs("prod")) == 1


def test_a_host_that_the_inventory_knows_under_another_address_is_not_gone_on_with(live: FakeSession) -> None:
    killed(live, 3, "n1")
    live.cluster = live.cluster.model_copy(update={"standby": (world.host("n1", 99),)})
    refused = told("runs", "resume", "--yes")
    assert "n1 had address 10.0.0.11 in that run" in refused["error"]["message"]


def test_a_host_that_the_inventory_does_not_know_is_gone_on_with_as_the_journal_has_it(live: FakeSession) -> None:
    killed(live, 3, "n1")
    live.cluster = live.cluster.model_copy(update={"standby": ()})
    assert told("runs", "resume", "--yes")["data"]["added"] == ["n1"]


def test_a_change_that_cannot_be_gone_on_with_says_so(live: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(live, 3, "n1")
    monkeypatch.delattr(add_node, "again")
    refused = told("runs", "resume", "--yes")
    assert "run the same command again" in refused["error"]["hint"]


def test_an_even_number_that_was_allowed_is_allowed_when_its_run_goes_on(live: FakeSession) -> None:
    plan = world.plan(NEW).model_copy(update={"allow_even": True})
    seen = []

    def prepare(*_: object, allow_even: bool, progress: object) -> object:
        del progress
        seen.append(allow_even)
        return plan

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(add_master, "prepare", prepare)
        assert add_master.again(live, plan, progress=lambda _: None) is plan
    assert seen == [True]


def test_a_run_is_taken_back_after_a_yes_and_its_hosts_are_told(live: FakeSession) -> None:
    run = killed(live, 4, "n1", "n2")
    assert told("runs", "rollback", run.name)["exit_code"] == 3
    assert "n1" in live.fakes.kube.of("Node")
    shown = invoked("runs", "rollback", run.name, "--plan").output
    assert "host n1 (10.0.0.11): take back" in shown
    result = told("runs", "rollback", run.name, "--yes")
    assert (result["exit_code"], result["data"]["taken_back"]) == (0, ["n1", "n2"])
    assert "n1" not in live.fakes.kube.of("Node")
    newest, oldest = told("runs", "list")["data"]["runs"]
    assert (newest["change"], newest["rolls_back"], oldest["half_way"]) == ("rollback", run.name, [])
    assert f"rolled back by {newest['run']}" in invoked("runs", "list").output


def test_a_rollback_that_leaves_some_hosts_is_partial_and_one_that_leaves_all_failed(live: FakeSession) -> None:
    run = killed(live, 4, "n1", "n2")
    live.fakes.playbooks.fails["worker_remove.yml", "n1"] = "the disk is read-only"
    partial = told("runs", "rollback", run.name, "--yes")
    assert (partial["exit_code"], partial["data"]["taken_back"]) == (2, ["n2"])
    live.fakes.playbooks.fails["worker_remove.yml", "n2"] = "the disk is read-only"
    assert told("runs", "rollback", run.name, "--yes")["exit_code"] == 9


def test_a_change_that_begins_beside_an_unfinished_one_names_it_and_goes_on(live: FakeSession) -> None:
    run = killed(live, 3, "n2")
    result = invoked("add-node", "n1", "--yes")
    assert result.exit_code == 0, result.output
    assert f"unfinished: {run.name} (add-node n2, interrupted)" in result.output
    assert "unfinished" not in invoked("add-node", "n2", "--yes", "--output", "json").output
    assert "unfinished" not in invoked("add-node", "n2", "--yes").output


def test_a_rollback_tells_the_runs_that_are_taken_back_with_it(live: FakeSession) -> None:
    first, last = killed(live, 3, "n1"), killed(live, 1, "n1")
    shown = invoked("runs", "rollback", last.name, "--plan").output
    assert f"with what run {first.name} began there" in shown
    assert "take back Join the kubelets" in shown
    assert told("runs", "rollback", last.name, "--yes")["data"]["taken_back"] == ["n1"]
    assert told("runs", "list", "--unfinished")["data"]["runs"] == []
