"""Which run is answerable for a host that several went on with, as their journals tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.engine import chains, history
from scaler.engine.journal import runs_dir
from scaler.plan.plan import StepSpec
from tests.fakes.world import host
from tests.unit.engine.test_history import done, ended, intent, plan, written

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.engine.events import Kind

UNDONE: tuple[Kind, dict[str, Any]] = ("host-undone", {"hosts": ("n1",)})
FAILED: tuple[Kind, dict[str, Any]] = ("host-failed", {"hosts": ("n1",)})
STEPS = ("etcd_steady", "master_staged", "learner_added")
MASTER: dict[str, Any] = {
    "change": "add-master",
    "makes": "masters",
    "on_failure": "undo",
    "steps": tuple(StepSpec(step=step, hosts=("n1",)) for step in STEPS),
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path))
    runs_dir("prod").mkdir(parents=True)


def begun(*steps: str) -> list[tuple[Kind, dict[str, Any]]]:
    return [("step-intent", {"step": step, "hosts": ("n1",)}) for step in steps]


def back(*steps: str) -> list[tuple[Kind, dict[str, Any]]]:
    return [("undo-intent", {"step": step, "hosts": ("n1",)}) for step in steps]


def unfinished() -> list[str]:
    return [run.name for run in history.unfinished(history.runs("prod"))]


def rollback(of: str) -> Any:
    return plan("n1", change="rollback", makes="masters", steps=(), rolls_back=of)


@pytest.fixture
def first() -> None:
    """A run that was killed when it had a learner."""
    written("1", plan("n1", **MASTER), *begun(*STEPS))


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("resumes", ["1", ""])
def test_a_run_that_gave_back_its_own_alone_is_unfinished_as_the_one_before_it_was(resumes: str) -> None:
    told = [*begun("etcd_steady", "master_staged"), FAILED, *back("master_staged"), UNDONE]
    written("2", plan("n1", resumes=resumes, **MASTER), *told, ended("failed"))
    assert unfinished() == ["2"]
    assert history.taken_over(history.runs("prod")[0], history.runs("prod")) == {"n1": "2"}


@pytest.mark.usefixtures("first")
def test_a_run_that_gave_back_what_both_had_begun_has_settled_both() -> None:
    told = [*begun("etcd_steady", "master_staged"), FAILED, *back("learner_added", "master_staged"), UNDONE]
    written("2", plan("n1", resumes="1", **MASTER), *told, ended("failed"))
    assert unfinished() == []


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("told", [[], [*begun("etcd_steady"), FAILED]])
def test_a_resume_that_failed_before_it_did_anything_is_unfinished(told: list[tuple[Kind, dict[str, Any]]]) -> None:
    written("2", plan("n1", resumes="1", **MASTER), *told, ended("failed"))
    assert unfinished() == ["2"]


@pytest.mark.usefixtures("first")
def test_a_rollback_that_took_back_the_last_run_alone_has_not_settled_the_first() -> None:
    written("2", plan("n1", resumes="1", **MASTER), *begun("etcd_steady", "master_staged"))
    written("3", rollback("2"), *back("master_staged"), UNDONE, ended("done", "n1"))
    assert unfinished() == ["2"]
    all_runs = history.runs("prod")
    assert history.taken_over(all_runs[1], all_runs) == {}
    written("4", rollback("2"), *back("learner_added", "master_staged"), UNDONE, ended("done", "n1"))
    assert unfinished() == []


@pytest.mark.usefixtures("first")
def test_what_all_of_a_chain_began_is_taken_back_in_one_order() -> None:
    written("2", plan("n1", resumes="1", **MASTER), *begun("etcd_steady"))
    written("3", plan("n1", resumes="2", **MASTER), *begun("etcd_steady", "master_staged"))
    before = chains.before(plan("n1", **MASTER), history.runs("prod"))
    assert [run.name for run in before.runs["n1"]] == ["1", "2", "3"]
    assert before.begun("n1") == STEPS


@pytest.mark.usefixtures("first")
def test_a_run_of_another_aim_does_not_go_on_with_it_and_leaves_it_when_it_gives_all_back() -> None:
    out = plan("n1", change="remove-master", makes="", leaves="masters", on_failure="undo", steps=MASTER["steps"])
    assert chains.before(out, history.runs("prod")).runs == {}
    written("2", out, *begun("etcd_steady"))
    assert unfinished() == ["2"]
    written("3", rollback("2"), ended("done", "n1"))
    assert unfinished() == ["1"]
    assert history.taken_over(history.runs("prod")[0], history.runs("prod")) == {}


@pytest.mark.usefixtures("first")
def test_a_host_of_the_same_name_at_another_address_is_not_gone_on_with() -> None:
    other = plan("n1", **MASTER, hosts=(host("n1", 99),))
    assert chains.before(other, history.runs("prod")).runs == {}


def test_a_host_that_a_run_finished_is_nothing_to_go_on_with() -> None:
    written("1", plan("n1"), intent(0, "n1"))
    written("2", plan("n1"), intent(0, "n1"), done(0, "n1"), intent(1, "n1"), done(1, "n1"), ended("failed", "n1"))
    assert chains.chains(history.runs("prod")) == {}


def test_a_host_with_which_a_resume_had_nothing_to_do_is_settled_though_the_resume_failed() -> None:
    written("1", plan("n1", "n2"), intent(0, "n1", "n2"))
    written("2", plan("n2", resumes="1"), intent(0, "n2"), ended("failed"))
    assert [(name, [run.name for run in chain]) for name, chain in chains.chains(history.runs("prod")).items()] == [
        ("n2", ["1", "2"])
    ]


def test_what_may_be_past_its_commitment_is_not_taken_back_without_a_look() -> None:
    written("1", plan("n1", "n2"), intent(0, "n1", "n2"), done(0, "n1", "n2"), intent(1, "n1"))
    committed = chains.before(plan("n1", "n2"), history.runs("prod")).committed()
    assert committed == {"n1": "it may be done: Open the nodes; the next run finds out"}


def test_a_step_that_is_not_known_is_not_taken_back_without_a_look() -> None:
    specs = (StepSpec(step="node_polished", hosts=("n1",)),)
    written("1", plan("n1", steps=specs), *begun("node_polished"))
    assert "no step node_polished" in chains.before(plan("n1"), history.runs("prod")).committed()["n1"]


@pytest.mark.usefixtures("first")
def test_a_host_that_is_further_than_its_runs_brought_it_is_not_taken_back_without_a_look() -> None:
    later = plan("n1", **{**MASTER, "steps": (StepSpec(step="control_plane_started", hosts=("n1",)),)})
    committed = chains.before(later, history.runs("prod")).committed()
    assert committed == {"n1": "it is further than this machine's runs brought it; scaler runs rollback looks first"}
    assert chains.before(plan("n1", **MASTER), history.runs("prod")).committed() == {}


@pytest.mark.usefixtures("first")
def test_a_run_by_which_a_host_goes_nowhere_settles_nothing() -> None:
    specs = (StepSpec(step="hosts_prefetched", hosts=("n1",)),)
    told = {"step": "hosts_prefetched", "hosts": ("n1",)}
    brought = plan("n1", change="prefetch", makes="", steps=specs)
    written("2", brought, ("step-intent", told), ("step-done", told), ended("done", "n1"))
    assert unfinished() == ["1"]
