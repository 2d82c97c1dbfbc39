from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scaler.engine import history
from scaler.engine.events import Event
from scaler.engine.history import VERSION, Run
from scaler.engine.journal import Journal, runs_dir
from scaler.errors import InputError
from scaler.plan.plan import Plan, StepSpec
from tests.fakes.clock import BEGIN
from tests.fakes.world import hosts

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.engine.events import Kind

STEPS = ("nodes_registered", "nodes_opened")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path))
    runs_dir("prod").mkdir(parents=True)


def plan(*names: str, **more: Any) -> Plan:
    specs = tuple(StepSpec(step=step, hosts=names) for step in STEPS)
    return Plan(**{"change": "add-node", "cluster": "prod", "hosts": hosts(*names), "steps": specs, **more})


def written(name: str, planned: Plan, *told: tuple[Kind, dict[str, Any]], version: int = VERSION) -> Path:
    """Write a journal that begins as many days after the first as its name says, and return its path."""
    path = runs_dir("prod") / f"{name}.jsonl"
    names = tuple(host.name for host in planned.hosts)
    begin = BEGIN + timedelta(days=int(name[0]))
    first = Event(kind="run-started", at=begin, run=name, hosts=names, data=planned.to_json(), version=version)
    events = [first] + [
        Event(kind=kind, at=begin + timedelta(seconds=number + 1), run=name, **more)
        for number, (kind, more) in enumerate(told)
    ]
    path.write_text("".join(f"{event.model_dump_json(exclude_defaults=True)}\n" for event in events))
    return path


def intent(step: int, *names: str) -> tuple[Kind, dict[str, Any]]:
    return "step-intent", {"step": STEPS[step], "hosts": names}


def done(step: int, *names: str) -> tuple[Kind, dict[str, Any]]:
    return "step-done", {"step": STEPS[step], "hosts": names}


def ended(status: str, *names: str) -> tuple[Kind, dict[str, Any]]:
    return "run-ended", {"hosts": names, "message": status, "data": {"status": status}}


def only() -> Run:
    (run,) = history.runs("prod")
    return run


@pytest.mark.parametrize("status", ["done", "failed", "stopped", "aborted"])
def test_a_run_ended_as_it_says(status: str) -> None:
    written("1", plan("n1"), ended(status))
    assert only().status == status


def test_a_run_that_does_not_say_how_it_ended_was_killed() -> None:
    written("1", plan("n1"), intent(0, "n1"))
    assert (only().status, only().half_way) == ("interrupted", {"n1"})


def test_a_run_whose_process_lives_goes_on_and_is_not_unfinished() -> None:
    journal = Journal("prod", "1")
    journal.hear(Event(kind="run-started", at=BEGIN, run="1", hosts=("n1",), data=plan("n1").to_json()))
    assert (only().status, history.unfinished([only()])) == ("running", [])
    journal.close()
    assert (only().status, history.unfinished([only()])) == ("interrupted", [only()])


def test_a_last_line_that_was_torn_off_is_dropped() -> None:
    path = written("1", plan("n1"), intent(0, "n1"))
    path.write_bytes(path.read_bytes() + b'{"kind": "step-done", "step": "nodes_\xff')
    assert ([event.kind for event in only().events], only().problem) == (["run-started", "step-intent"], "")


@pytest.mark.parametrize("torn", [b"", b'{"kind": "step-do'])
def test_room_that_was_reserved_and_never_written_is_no_line(torn: bytes) -> None:
    path = written("1", plan("n1"), intent(0, "n1"))
    path.write_bytes(path.read_bytes() + torn + b"\0" * 5000)
    assert ([event.kind for event in only().events], only().problem) == (["run-started", "step-intent"], "")


def test_a_line_in_the_middle_that_is_not_understood_is_told_and_not_gone_on_with() -> None:
    path = written("1", plan("n1"), intent(0, "n1"), done(0, "n1"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], '{"kind": "step-thought"}\n', *lines[2:]]))
    assert "line 2 is not understood" in only().problem
    with pytest.raises(InputError, match="line 2 is not understood"):
        only().must_be_understood()


def test_a_journal_of_another_form_is_listed_and_not_gone_on_with() -> None:
    written("1", plan("n1"), intent(0, "n1"), version=VERSION + 1)
    assert (only().change, only().hosts, only().status) == ("add-node", ("n1",), "interrupted")
    with pytest.raises(InputError, match=f"form {VERSION + 1}, this scaler goes on with form {VERSION} only"):
        only().must_be_understood()


def test_a_plan_of_another_scaler_is_listed_and_not_gone_on_with() -> None:
    path = written("1", plan("n1"))
    first = json.loads(path.read_text())
    first["data"]["turbo"] = True
    path.write_text(json.dumps(first) + "\n")
    assert (only().change, only().hosts) == ("add-node", ("n1",))
    with pytest.raises(InputError, match=r"another scaler \(turbo\)"):
        only().must_be_understood()


def test_a_step_that_is_not_known_is_not_gone_on_with() -> None:
    written("1", plan("n1", steps=(StepSpec(step="node_polished", hosts=("n1",)),)))
    with pytest.raises(InputError, match="no step node_polished"):
        only().must_be_understood()


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"\xff\xfe\n", b"[]\n", b'"text"\n', b"{}\n"])
def test_a_file_that_is_no_journal_is_listed(content: bytes) -> None:
    (runs_dir("prod") / "1.jsonl").write_bytes(content)
    assert (only().name, only().status, only().change) == ("1", "unreadable", "?")
    assert only().problem


def test_a_journal_that_cannot_be_read_is_listed_with_the_reason() -> None:
    (runs_dir("prod") / "1.jsonl").mkdir()
    assert only().status == "unreadable"
    assert "cannot be read: Is a directory" in only().problem


def test_of_a_failed_run_the_hosts_that_were_given_back_are_not_half_way() -> None:
    told = [intent(0, "n1", "n2"), ("host-failed", {"hosts": ("n1",)}), ("host-undone", {"hosts": ("n1",)})]
    written("1", plan("n1", "n2"), *told, done(0, "n2"), intent(1, "n2"), done(1, "n2"), ended("failed", "n2"))
    assert (only().finished, only().undone, only().half_way) == ({"n2"}, {"n1"}, set())


def test_of_a_failed_run_a_host_that_could_not_be_given_back_is_half_way() -> None:
    told = [intent(0, "n1"), ("host-failed", {"hosts": ("n1",)}), ("host-left", {"hosts": ("n1",), "message": "stuck"})]
    written("1", plan("n1", "n2"), *told, ended("failed"))
    assert (only().left, only().half_way) == ({"n1": "stuck"}, {"n1"})


def test_a_failed_host_that_had_only_what_leaves_no_trace_is_not_half_way() -> None:
    specs = (StepSpec(step="etcd_steady", hosts=("n1",)),)
    steady: tuple[Kind, dict[str, Any]] = ("step-intent", {"step": "etcd_steady", "hosts": ("n1",)})
    failed: tuple[Kind, dict[str, Any]] = ("host-failed", {"hosts": ("n1",)})
    written("1", plan("n1", steps=specs, on_failure="undo"), steady, failed, ended("failed"))
    assert only().half_way == set()


def test_a_run_that_was_stopped_has_also_the_hosts_before_it_that_it_never_began() -> None:
    specs = tuple(StepSpec(step=step, hosts=(name,)) for name in ("n1", "n2") for step in STEPS)
    written("1", plan("n1", "n2", steps=specs), intent(0, "n1"), done(0, "n1"), ended("stopped"))
    assert only().half_way == {"n1", "n2"}


def test_what_a_later_run_began_is_the_later_runs() -> None:
    written("1", plan("n1", "n2"), intent(0, "n1", "n2"))
    written("2", plan("n2"), intent(0, "n2"), ended("failed"))
    first, second = history.runs("prod")
    assert history.taken_over(first, [first, second]) == {"n2": "2"}
    assert history.unfinished([first, second]) == [first, second]


def test_a_run_that_was_resumed_hands_all_its_hosts_on() -> None:
    written("1", plan("n1", "n2"), intent(0, "n1"))
    written("2", plan(resumes="1"), ended("done"))
    assert history.unfinished(history.runs("prod")) == []


def test_a_rollback_of_another_run_takes_nothing_over() -> None:
    written("1", plan("n1"), intent(0, "n1"))
    written("2", plan("n1"), intent(0, "n1"))
    written("3", plan("n1", change="rollback", steps=(), rolls_back="2"), ended("done", "n1"))
    first, second, third = history.runs("prod")
    assert history.taken_over(first, [first, third]) == {}
    assert history.taken_over(second, [first, second, third]) == {"n1": "3"}


def test_a_rollback_that_left_a_host_has_not_settled_it() -> None:
    written("1", plan("n1", "n2"), intent(0, "n1", "n2"))
    left: tuple[Kind, dict[str, Any]] = ("host-left", {"hosts": ("n2",), "message": "it votes"})
    written("2", plan("n1", "n2", change="rollback", steps=(), rolls_back="1"), left, ended("failed", "n1"))
    first, second = history.runs("prod")
    assert history.taken_over(first, [first, second]) == {"n1": "2"}
    assert history.unfinished([first, second]) == [first]


def test_a_run_is_found_by_a_beginning_that_no_other_has() -> None:
    for name in ("1a", "1b", "2"):
        written(name, plan("n1"))
    found = history.runs("prod")
    assert (history.find(found, "2").name, history.find(found, "1a").name) == ("2", "1a")
    with pytest.raises(InputError, match="several runs begin with 1: 1a, 1b"):
        history.find(found, "1")
    with pytest.raises(InputError, match="there is no run 3"):
        history.find(found, "3")


def test_a_name_that_is_whole_is_that_run_though_others_begin_so() -> None:
    for name in ("1", "1a"):
        written(name, plan("n1"))
    assert history.find(history.runs("prod"), "1").name == "1"


def test_a_cluster_without_runs_has_none() -> None:
    assert history.runs("other") == []
