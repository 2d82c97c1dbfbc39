"""A run that goes on with another is answerable for both: what fails or is killed early loses nothing of the first."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.app import add_master, add_node, remove_master, replace_master, rollback, runs
from scaler.engine import history
from scaler.errors import StepError
from scaler.plan.plan import Drain
from scaler.plan.recipes.add_master import MEMBER, REHEARSAL, SERVICE
from scaler.steps.verification_objects import verification_namespace
from tests.fakes import world
from tests.fakes.control_plane import APISERVER, CONTROLLERS, FakeControlPlane
from tests.fakes.session import FakeSession, session
from tests.unit.engine.test_resume import KilledError
from tests.unit.engine.test_taken_back import breaks

if TYPE_CHECKING:
    from scaler.app.rollback import Prepared
    from scaler.engine.events import Event
    from scaler.engine.history import Run
    from scaler.engine.run import Outcome
    from scaler.plan.plan import Plan

NEW = world.hosts("n1", "n2")
OLD = "m1"
# After its control plane was stopped, and before its member is out.
LATE = "leader_moved"


class KilledAt:
    """Ends the run before ``step`` of ``host``."""

    def __init__(self, step: str, host: str) -> None:
        self._at = (step, host)

    def hear(self, event: Event) -> None:
        if event.kind == "step-intent" and (event.step, event.hosts[0]) == self._at:
            raise KilledError(event.step)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def live(tmp_path: Path) -> FakeSession:
    return session(tmp_path, NEW, standby=NEW, workers=(world.host("w1", 2),))


@pytest.fixture
def growing(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m3", masters=2)


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m4", masters=3)


def adding(there: FakeControlPlane, live: FakeSession) -> Plan:
    return add_master.prepare(live, there.new, allow_even=False, progress=lambda _: None)


def removing(there: FakeControlPlane, live: FakeSession) -> Plan:
    del there
    return remove_master.prepare(live, [OLD], drain=Drain(), allow_even=True, dead=False, progress=lambda _: None)


def replacing(there: FakeControlPlane, live: FakeSession) -> Plan:
    return replace_master.prepare(live, OLD, there.new[0], drain=Drain(), dead=False, progress=lambda _: None)


def workers(live: FakeSession, *names: str) -> Plan:
    chosen = [each for each in NEW if each.name in names]
    return add_node.prepare(live, chosen, keep_going=False, progress=lambda _: None).plan


def resuming(live: FakeSession) -> Plan:
    all_runs = history.runs("prod")
    return runs.resumed(live, runs.to_resume(all_runs, ""), all_runs, progress=lambda _: None)


def killed(live: FakeSession, plan: Plan, step: str, host: str) -> Run:
    live.clock.sleep(1)
    with pytest.raises(KilledError):
        live.run(plan, [KilledAt(step, host)])
    return history.runs("prod")[-1]


def failed(live: FakeSession, plan: Plan, monkeypatch: pytest.MonkeyPatch, step: str, host: str) -> Outcome:
    live.clock.sleep(1)
    with monkeypatch.context() as broken:
        breaks(broken, step, host, done=False)
        return live.run(plan, [])


def prepared(live: FakeSession, run: Run) -> Prepared:
    live.clock.sleep(1)
    return rollback.prepare(live, run, history.runs("prod"), progress=lambda _: None)


def rolled_back(live: FakeSession, run: Run) -> Outcome:
    return rollback.roll_back(live, prepared(live, run), [])


def unfinished() -> list[str]:
    return [each.name for each in history.unfinished(history.runs("prod"))]


def serving(there: FakeControlPlane) -> dict[str, Any]:
    """Return what a master that leaves is taken out of."""
    return {
        "voters": there.etcd.voters,
        "control plane": {APISERVER, *CONTROLLERS} & there.machines[OLD].units,
        "balancers": {name: set(balancer.servers) for name, balancer in there.balancers.items()},
        "closed": there.fakes.kube.of("Node")[OLD]["spec"].get("unschedulable", False),
        "masters": there.groups()["masters"],
    }


@pytest.mark.parametrize("step", ["etcd_snapshot", "master_staged", "balancers_rehearsed", "apiserver_rehearsed"])
def test_a_resume_that_fails_takes_out_the_learner_of_the_run_before_it(
    growing: FakeControlPlane, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    killed(growing.session(), adding(growing, growing.session()), "learner_caught_up", "m3")
    assert growing.etcd.learners
    live = growing.session()
    outcome = failed(live, resuming(live), monkeypatch, step, "m3")
    assert (outcome.failed, outcome.left) == ({"m3": f"{step} broke"}, {})
    assert (growing.etcd.voters, growing.etcd.learners) == (["m1", "m2"], [])
    assert (growing.machines["m3"].files, growing.machines["m3"].units) == ({}, set())
    assert unfinished() == []
    assert growing.etcd.quorate_ever_since


def test_the_same_command_that_fails_takes_out_the_learner_of_the_run_before_it(
    growing: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(growing.session(), adding(growing, growing.session()), "learner_caught_up", "m3")
    live = growing.session()
    assert failed(live, adding(growing, live), monkeypatch, "master_staged", "m3").left == {}
    assert growing.etcd.learners == []
    assert unfinished() == []


def test_a_voter_of_the_run_before_it_stays_whole_and_is_told(
    growing: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(growing.session(), adding(growing, growing.session()), "control_plane_started", "m3")
    before = (set(growing.machines["m3"].units), dict(growing.machines["m3"].files))
    live = growing.session()
    outcome = failed(live, resuming(live), monkeypatch, "control_plane_started", "m3")
    assert "votes in etcd" in outcome.left["m3"]
    assert growing.etcd.voters == ["m1", "m2", "m3"]
    assert (growing.machines["m3"].units, growing.machines["m3"].files) == before
    assert unfinished() == [outcome.run]


def test_a_node_that_the_run_before_it_may_have_opened_is_not_taken_away(
    live: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(live, workers(live, "n1"), "nodes_opened", "n1")
    outcome = failed(live, resuming(live), monkeypatch, "worker_installed", "n1")
    assert "it may be done" in outcome.left["n1"]
    assert "n1" in live.fakes.kube.of("Node")
    assert "n1" in live.fakes.playbooks.hosts
    assert unfinished() == [outcome.run]


def test_a_resumed_replacement_that_fails_lets_the_old_master_serve_again(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(there.session(), replacing(there, there.session()), LATE, OLD)
    assert serving(there)["control plane"] == set()
    live = there.session()
    outcome = failed(live, resuming(live), monkeypatch, "etcd_snapshot", OLD)
    assert (outcome.failed, outcome.left) == ({OLD: "etcd_snapshot broke"}, {})
    four = {"m1", "m2", "m3", "m4"}
    assert serving(there) == {
        "voters": sorted(four),
        "control plane": {APISERVER, *CONTROLLERS},
        "balancers": {"lb1": four, "lb2": four},
        "closed": False,
        "masters": ["m1", "m2", "m3", "m4"],
    }
    assert unfinished() == []
    assert there.outages == []


def test_a_resume_that_could_take_nothing_back_is_unfinished_as_the_run_before_it_was(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(there.session(), replacing(there, there.session()), LATE, OLD)
    live, plan = there.session(), resuming(there.session())
    live.clock.sleep(1)

    def lost(_: object) -> None:
        raise StepError("the Lease is another's")

    monkeypatch.setattr("scaler.engine.lease.Lease.must_hold", lost)
    with pytest.raises(StepError, match="the Lease is another's"):
        live.run(plan, [])
    monkeypatch.undo()
    monkeypatch.setenv("SCALER_STATE_DIR", str(there.directory / "state"))
    second = history.runs("prod")[-1]
    assert (second.status, second.begun) == ("failed", {})
    assert unfinished() == [second.name]
    assert rolled_back(there.session(), second).made == (OLD,)
    assert serving(there)["control plane"] == {APISERVER, *CONTROLLERS}
    assert unfinished() == []


def test_a_rollback_of_the_last_run_takes_back_a_removal_that_the_first_began(there: FakeControlPlane) -> None:
    before = serving(there)
    first = killed(there.session(), removing(there, there.session()), LATE, OLD)
    second = killed(there.session(), resuming(there.session()), "etcd_snapshot", OLD)
    third = killed(there.session(), resuming(there.session()), "etcd_steady", OLD)
    assert unfinished() == [third.name]
    for earlier in (first, second):
        assert f"run {third.name} has taken it over" in prepared(there.session(), earlier).keeps[OLD]
    outcome = rolled_back(there.session(), third)
    assert (outcome.made, outcome.left) == ((OLD,), {})
    assert serving(there) == before
    assert unfinished() == []
    assert there.outages == []


def test_a_member_that_the_first_run_took_out_keeps_the_last_from_being_rolled_back(there: FakeControlPlane) -> None:
    killed(there.session(), removing(there, there.session()), "member_stopped", OLD)
    second = killed(there.session(), resuming(there.session()), "balancers_without", OLD)
    outcome = rolled_back(there.session(), second)
    assert "its member was taken out of etcd" in outcome.left[OLD]
    assert there.etcd.voters == ["m2", "m3"]
    assert unfinished() == [second.name]


@pytest.mark.parametrize("again", ["resume", "the same command"])
@pytest.mark.parametrize("step", ["nodes_registered", "worker_installed"])
def test_files_that_the_first_run_placed_are_the_last_ones_to_take_back(
    live: FakeSession, step: str, again: str
) -> None:
    first = killed(live, workers(live, "n1"), "join_verified", "n1")
    receipt = json.dumps({"claim": {"run": first.name}})
    live.fakes.ssh.machines["n1"].files["/var/lib/scaler/worker.json"] = receipt
    plan = resuming(live) if again == "resume" else workers(live, "n1")
    second = killed(live, plan, step, "n1")
    outcome = rolled_back(live, second)
    assert (outcome.made, outcome.left) == (("n1",), {})
    assert live.fakes.kube.of("Node").keys() == {"m1", "w1"}
    assert live.fakes.playbooks.hosts == {}
    assert unfinished() == []


def test_files_of_a_run_that_was_given_back_are_not_the_next_ones(live: FakeSession) -> None:
    first = killed(live, workers(live, "n1"), "kubelet_joined", "n1")
    rolled_back(live, first)
    second = killed(live, workers(live, "n1"), "credentials_issued", "n1")
    receipt = json.dumps({"claim": {"run": first.name}})
    live.fakes.ssh.machines["n1"].files["/var/lib/scaler/worker.json"] = receipt
    assert rolled_back(live, second).left == {"n1": f"the files on it are run {first.name}'s"}


def test_tokens_and_namespaces_of_all_runs_are_gone(live: FakeSession) -> None:
    first = killed(live, workers(live, "n1"), "worker_installed", "n1")
    live.fakes.kube.create([{"kind": "Namespace", "metadata": {"name": verification_namespace(first.name)}}])
    second = killed(live, resuming(live), "worker_installed", "n1")
    assert len(live.fakes.kube.of("Secret")) == 1
    rolled_back(live, second)
    assert set(live.fakes.kube.of("Secret")) == set()
    assert verification_namespace(first.name) not in live.fakes.kube.of("Namespace")


@given(steps=st.lists(st.sampled_from((*REHEARSAL, *MEMBER, *SERVICE)), min_size=2, max_size=4))
@settings(max_examples=6)
def test_however_often_it_was_killed_a_rollback_of_the_last_run_leaves_nothing_or_a_voter(steps: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as directory:
        patched.setenv("SCALER_STATE_DIR", f"{directory}/state")
        there = FakeControlPlane(Path(directory), "m3", masters=2)
        groups, plan = there.groups(), adding(there, there.session())
        for step in steps:
            # A step that the resumed plan has no more is not come to: the run before it is the last.
            if any(spec.step == step for spec in plan.steps):
                killed(there.session(), plan, step, "m3")
                plan = resuming(there.session())
        last, votes = history.runs("prod")[-1], len(there.etcd.voters) == 3
        outcome = rolled_back(there.session(), last)
        assert set(outcome.left) == ({"m3"} if votes else set())
        assert bool(there.machines["m3"].files) == votes
        assert (there.etcd.learners, there.groups()) == ([], groups)
        assert unfinished() == ([last.name] if votes else [])
        assert there.etcd.quorate_ever_since


def test_a_host_of_another_command_is_not_gone_on_with(there: FakeControlPlane) -> None:
    killed(there.session(), removing(there, there.session()), LATE, OLD)
    plan = removing(there, there.session()).model_copy(update={"dead": (OLD,)})
    second = killed(there.session(), plan, "etcd_snapshot", OLD)
    assert prepared(there.session(), second).begun[OLD] == ("etcd_steady", "etcd_snapshot")
