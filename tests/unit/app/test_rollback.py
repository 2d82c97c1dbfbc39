"""A rollback takes back what one run did, host by host, and leaves what joined, votes, takes pods or is another's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import add_master, add_node, rollback
from scaler.engine import history
from scaler.errors import InputError, PreflightError
from scaler.plan.recipes.add_node import RUN_ANNOTATION
from scaler.steps.verification_objects import verification_namespace
from tests.fakes import world
from tests.fakes.control_plane import FakeControlPlane
from tests.fakes.session import FakeSession, session
from tests.unit.engine.test_resume import KilledError, Killer

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.app.rollback import Prepared
    from scaler.engine.history import Run
    from scaler.engine.run import Outcome

NEW = world.hosts("n1", "n2")
STEPS_OF_A_MASTER = 20


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def live(tmp_path: Path) -> FakeSession:
    return session(tmp_path, NEW, standby=NEW, workers=(world.host("w1", 2),))


def killed(live: FakeSession, number: int, *names: str, kind: str = "step-intent") -> Run:
    """Let a run that adds ``names`` be killed, and return what its journal tells; a later one is later by a second."""
    live.clock.sleep(1)
    chosen = [each for each in NEW if each.name in names]
    plan = add_node.prepare(live, chosen, keep_going=False, progress=lambda _: None).plan
    with pytest.raises(KilledError):
        live.run(plan, [Killer(kind, number)])
    return history.runs("prod")[-1]


def prepared(live: FakeSession, run: Run) -> Prepared:
    live.clock.sleep(1)
    return rollback.prepare(live, run, history.runs("prod"), progress=lambda _: None)


def rolled_back(live: FakeSession, run: Run) -> Outcome:
    return rollback.roll_back(live, prepared(live, run), [])


def placed_by(live: FakeSession, name: str, run: str) -> None:
    live.fakes.ssh.machines[name].files["/var/lib/scaler/worker.json"] = json.dumps({"claim": {"run": run}})


@pytest.mark.parametrize("number", range(6))
def test_before_it_is_opened_a_worker_is_given_back_whole(live: FakeSession, number: int) -> None:
    before = set(live.fakes.kube.objects)
    run = killed(live, number, "n1", "n2")
    assert rolled_back(live, run).left == {}
    assert live.fakes.kube.of("Node").keys() == {"m1", "w1"}
    assert live.fakes.playbooks.hosts == {}
    kept = {kind for kind, _, _ in set(live.fakes.kube.objects) - before}
    assert kept <= {"ClusterRoleBinding", "CertificateSigningRequest", "Lease"}
    assert history.unfinished(history.runs("prod")) == []


def test_a_rollback_is_a_run_of_its_own_that_can_be_repeated(live: FakeSession) -> None:
    run = killed(live, 3, "n1")
    first = rolled_back(live, run)
    again = rolled_back(live, run)
    assert (first.made, again.made) == (("n1",), ("n1",))
    told = [(each.change, each.status, each.plan.rolls_back) for each in history.runs("prod")[1:] if each.plan]
    assert told == [("rollback", "done", run.name)] * 2
    assert history.taken_over(run, history.runs("prod")) == {"n1": again.run}


def test_a_rollback_that_was_killed_is_done_again_and_the_run_is_unfinished_until_then(live: FakeSession) -> None:
    run = killed(live, 4, "n1")
    with pytest.raises(KilledError):
        rollback.roll_back(live, prepared(live, run), [Killer("undo-intent", 1)])
    assert [each.name for each in history.unfinished(history.runs("prod"))] == [run.name]
    assert rolled_back(live, run).left == {}
    assert live.fakes.kube.of("Node").keys() == {"m1", "w1"}
    assert history.unfinished(history.runs("prod")) == []


def test_a_worker_that_joined_stays(live: FakeSession) -> None:
    run = killed(live, 5, "n1", kind="step-done")
    outcome = rolled_back(live, run)
    assert outcome.left == {"n1": "it has joined and stays; only what failed is missing"}
    assert "n1" in live.fakes.kube.of("Node")
    assert "n1" in live.fakes.playbooks.hosts
    assert [each.name for each in history.unfinished(history.runs("prod"))] == [run.name]


def test_a_node_that_takes_pods_though_nobody_noted_it_stays(live: FakeSession) -> None:
    run = killed(live, 5, "n1")
    del live.fakes.kube.of("Node")["n1"]["spec"]["unschedulable"]
    assert "takes pods" in rolled_back(live, run).left["n1"]
    assert "n1" in live.fakes.playbooks.hosts


@pytest.mark.parametrize("mark", ["20260302-000000-ffff", None])
def test_a_node_that_another_run_marked_or_finished_stays(live: FakeSession, mark: str | None) -> None:
    run = killed(live, 4, "n1")
    annotations = live.fakes.kube.of("Node")["n1"]["metadata"]["annotations"]
    del annotations[RUN_ANNOTATION]
    annotations |= {RUN_ANNOTATION: mark} if mark else {}
    assert set(rolled_back(live, run).left) == {"n1"}
    assert "n1" in live.fakes.kube.of("Node")


def test_a_host_whose_files_are_another_runs_stays(live: FakeSession) -> None:
    run = killed(live, 4, "n1", "n2")
    placed_by(live, "n1", "20260302-000000-ffff")
    placed_by(live, "n2", run.name)
    outcome = rolled_back(live, run)
    assert outcome.left == {"n1": "the files on it are run 20260302-000000-ffff's"}
    assert (outcome.made, set(live.fakes.playbooks.hosts)) == (("n2",), {"n1"})


def test_a_host_that_a_later_run_began_is_the_later_runs(live: FakeSession) -> None:
    first = killed(live, 3, "n1", "n2")
    second = killed(live, 1, "n1")
    assert second.name in prepared(live, first).keeps["n1"]
    outcome = rolled_back(live, first)
    assert (set(outcome.left), outcome.made) == ({"n1"}, ("n2",))
    assert rolled_back(live, second).made == ("n1",)


def test_a_host_that_cannot_be_cleaned_stays_and_is_told(live: FakeSession) -> None:
    run = killed(live, 4, "n1")
    live.fakes.playbooks.fails["worker_remove.yml", "n1"] = "the disk is read-only"
    outcome = rolled_back(live, run)
    assert "the disk is read-only" in outcome.left["n1"]
    assert [each.name for each in history.unfinished(history.runs("prod"))] == [run.name]


def test_its_bootstrap_token_is_gone_and_anothers_is_not(live: FakeSession) -> None:
    run = killed(live, 2, "n1")
    live.fakes.kube.create(
        [{"kind": "Secret", "metadata": {"name": "bootstrap-token-zzzzzz", "namespace": "kube-system"}}]
    )
    rolled_back(live, run)
    assert set(live.fakes.kube.of("Secret")) == {"bootstrap-token-zzzzzz"}


def test_what_it_proved_itself_with_is_gone(live: FakeSession) -> None:
    run = killed(live, 5, "n1")
    namespace = verification_namespace(run.name)
    live.fakes.kube.create([{"kind": "Namespace", "metadata": {"name": namespace}}])
    rolled_back(live, run)
    assert namespace not in live.fakes.kube.of("Namespace")


def test_a_rollback_is_not_rolled_back(live: FakeSession) -> None:
    rolled_back(live, killed(live, 2, "n1"))
    with pytest.raises(InputError, match="is a rollback"):
        prepared(live, history.runs("prod")[-1])


def cluster(there: FakeControlPlane) -> dict[str, Any]:
    return {
        "voters": there.etcd.voters,
        "learners": there.etcd.learners,
        "lists": there.lists(),
        "balancers": {name: balancer.servers for name, balancer in there.balancers.items()},
        "groups": there.groups(),
        "nodes": set(there.fakes.kube.of("Node")),
        "files": there.machines["m3"].files,
        "units": there.machines["m3"].units,
    }


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m3", masters=2)


def broken(there: FakeControlPlane, number: int) -> Run:
    live = there.session()
    plan = add_master.prepare(live, there.new, allow_even=False, progress=lambda _: None)
    with pytest.raises(KilledError):
        live.run(plan, [Killer("step-intent", number)])
    return history.runs("prod")[-1]


@pytest.mark.parametrize("number", range(1, STEPS_OF_A_MASTER))
def test_a_master_is_given_back_whole_before_it_votes_and_stays_as_it_is_after(
    there: FakeControlPlane, number: int
) -> None:
    before = cluster(there)
    run = broken(there, number)
    killed_there = cluster(there)
    outcome = rolled_back(there.session(), run)
    if len(killed_there["voters"]) == 2:
        assert outcome.left == {}
        assert cluster(there) == before
    else:
        assert set(outcome.left) == {"m3"}
        assert cluster(there) == killed_there
    assert there.outages == []
    assert there.etcd.quorate_ever_since


def test_nothing_of_a_master_is_taken_back_where_nobody_can_tell_who_depends_on_it(there: FakeControlPlane) -> None:
    run = broken(there, 4)
    there.fakes.ssh.machines["lb1"].unreachable = True
    with pytest.raises(PreflightError, match="cannot be seen") as refused:
        prepared(there.session(), run)
    assert "nothing was touched" in refused.value.hint
    assert there.machines["m3"].files


def test_a_learner_whose_host_is_dead_is_out_of_etcd_and_the_host_is_told(there: FakeControlPlane) -> None:
    run = broken(there, 7)
    assert there.etcd.learners
    there.fakes.ssh.machines["m3"].unreachable = True
    there.etcd.stop("10.0.0.3")
    outcome = rolled_back(there.session(), run)
    assert set(outcome.left) == {"m3"}
    assert (sorted(there.etcd.voters), there.etcd.learners) == (["m1", "m2"], [])
