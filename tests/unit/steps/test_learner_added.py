from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import GuardError, StepError
from scaler.gateways.etcd import EtcdError
from scaler.steps.learner_added import STEP
from tests.fakes.control_plane import ETCD, FakeControlPlane
from tests.fakes.etcd import FakeMember

if TYPE_CHECKING:
    from pathlib import Path

M2 = FakeControlPlane.host("m2")
URL = "https://10.0.0.2:2380"


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m2")


@pytest.fixture
def facts(there: FakeControlPlane) -> list[dict[str, Any]]:
    noted: list[dict[str, Any]] = []
    there.world.note = noted.append
    return noted


def learner(there: FakeControlPlane) -> FakeMember:
    found = there.etcd.at(URL)
    assert found
    return found


def votes(there: FakeControlPlane) -> None:
    there.etcd.start("m2", M2.address)
    learner(there).learner = False
    there.machines["m2"].units.add(ETCD)


def test_the_host_becomes_a_learner_and_its_id_is_noted_after_the_intent(
    there: FakeControlPlane, facts: list[dict[str, Any]]
) -> None:
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.learners == [URL]
    assert there.etcd.voters == ["m1"]
    assert [sorted(fact) for fact in facts] == [["intent", "peer_url"], ["member", "peer_url"]]
    assert int(facts[1]["member"], 16) == learner(there).id
    assert there.world.own_members == {learner(there).id}


def test_what_it_starts_with_is_what_the_cluster_answered(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    assert there.world.initial_cluster == {"m2": "m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380"}


def test_a_lost_answer_is_no_second_member(there: FakeControlPlane) -> None:
    there.etcd.lost_answers = 1
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.learners == [URL]
    assert there.world.own_members == {learner(there).id}


def test_the_learner_of_an_earlier_run_is_gone_on_with(there: FakeControlPlane, facts: list[dict[str, Any]]) -> None:
    there.etcd.add_learner(URL)
    there.world.own_members.add(learner(there).id)
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.learners == [URL]
    assert [fact for fact in facts if "intent" in fact] == []


def test_a_host_that_votes_is_left_as_it_is(there: FakeControlPlane) -> None:
    there.etcd.add_learner(URL)
    votes(there)
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.voters == ["m1", "m2"]


def test_a_refusal_that_passes_is_waited_for(there: FakeControlPlane) -> None:
    refusals = [EtcdError("etcdserver: unhealthy cluster")] * 3
    there.etcd.refusals = refusals
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.learners == [URL]


def test_a_refusal_that_stays_is_told_in_etcds_words(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(9, "https://10.0.0.99:2380", learner=True, runs=False))
    with pytest.raises(StepError, match="etcdserver: too many learner members in cluster"):
        STEP.apply(there.world, [M2])
    assert there.etcd.at(URL) is None


def test_a_foreign_learner_at_its_url_is_refused_and_stays(there: FakeControlPlane) -> None:
    there.etcd.add_learner(URL)
    there.machines["m2"].units.add(ETCD)
    with pytest.raises(GuardError, match=f"m2: a learner that no run of scaler added has its peer URL {URL}"):
        STEP.apply(there.world, [M2])
    STEP.undo(there.world, M2)
    assert there.etcd.learners == [URL]
    assert ETCD in there.machines["m2"].units


def test_undo_stops_etcd_there_and_removes_the_learner(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    there.etcd.start("m2", M2.address)
    there.machines["m2"].units.add(ETCD)
    STEP.undo(there.world, M2)
    assert there.machines["m2"].units == set()
    assert (there.etcd.voters, there.etcd.learners) == (["m1"], [])


def test_undo_removes_the_learner_of_a_host_that_died(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    there.fakes.ssh.machines["m2"].unreachable = True
    STEP.undo(there.world, M2)
    assert there.etcd.learners == []


def test_a_list_that_does_not_answer_for_a_while_is_asked_again(there: FakeControlPlane) -> None:
    there.etcd.changed.append(lambda: setattr(there.etcd, "deaf", 5))
    assert STEP.apply(there.world, [M2]) == {}
    assert there.world.own_members == {learner(there).id}


def test_undo_removes_a_learner_that_was_added_though_the_step_never_heard_of_it(there: FakeControlPlane) -> None:
    there.etcd.lost_answers = 1
    there.etcd.changed.append(lambda: setattr(there.etcd, "deaf", 99))
    with pytest.raises(StepError, match="etcd does not take the learner: context deadline exceeded"):
        STEP.apply(there.world, [M2])
    assert there.etcd.learners == [URL]
    there.etcd.deaf, there.etcd.changed = 0, []
    STEP.undo(there.world, M2)
    assert there.etcd.learners == []


@pytest.mark.parametrize("lost", [1, 2])
def test_an_undo_whose_answer_was_lost_looks_again(there: FakeControlPlane, lost: int) -> None:
    STEP.apply(there.world, [M2])
    there.etcd.lost_answers = lost
    STEP.undo(there.world, M2)
    assert there.etcd.learners == []


def test_undo_leaves_a_voter_and_its_etcd_alone(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    votes(there)
    with pytest.raises(StepError, match="m2 votes; nothing of etcd is taken back"):
        STEP.undo(there.world, M2)
    assert there.etcd.voters == ["m1", "m2"]
    assert ETCD in there.machines["m2"].units


def test_a_learner_that_cannot_be_removed_is_named_with_the_way_to_remove_it(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    there.etcd.refusals = [EtcdError("etcdserver: request timed out")] * 99
    with pytest.raises(StepError, match=r"is still in etcd's list: etcdserver: request timed out; etcdctl member rem"):
        STEP.undo(there.world, M2)
