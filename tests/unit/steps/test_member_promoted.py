from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import GuardError, StepError
from scaler.gateways.etcd import EtcdError
from scaler.steps.member_promoted import HOLD_SECONDS, PROMOTE_SECONDS, STEP
from tests.fakes.control_plane import FakeControlPlane

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.etcd import FakeMember

M2 = FakeControlPlane.host("m2")
URL = "https://10.0.0.2:2380"


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    """Return a cluster whose m2 is a learner of ours, running and as far as the leader."""
    made = FakeControlPlane(tmp_path, "m2")
    made.etcd.add_learner(URL)
    made.etcd.start("m2", M2.address)
    made.world.own_members.add(learner(made).id)
    return made


def learner(there: FakeControlPlane) -> FakeMember:
    found = there.etcd.at(URL)
    assert found
    return found


def test_the_learner_votes_and_the_new_arithmetic_is_told_and_noted(there: FakeControlPlane) -> None:
    noted: list[dict[str, Any]] = []
    there.world.note = noted.append
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.voters == ["m1", "m2"]
    assert there.fakes.said[-1] == "2 voters, quorum 2: 0 may fail"
    assert noted[-1] == {"voter": "m2", "voters": 2, "quorum": 2}
    assert "intent" in noted[0]


def test_etcd_settles_before_the_step_is_done(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    assert there.fakes.clock.monotonic() >= HOLD_SECONDS > 0


def test_a_learner_that_is_not_in_sync_yet_is_promoted_once_it_is(there: FakeControlPlane) -> None:
    learner(there).applied = 10
    there.etcd.refused.append(lambda: setattr(learner(there), "applied", learner(there).applied + 30))
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.voters == ["m1", "m2"]


def test_a_learner_that_never_gets_in_sync_stays_a_learner_with_etcds_words(there: FakeControlPlane) -> None:
    learner(there).applied = 10
    with pytest.raises(StepError, match="can only promote a learner member which is in sync with leader"):
        STEP.apply(there.world, [M2])
    assert there.etcd.voters == ["m1"]
    assert there.fakes.clock.monotonic() >= PROMOTE_SECONDS


@pytest.mark.parametrize("deaf", [0, 5])
def test_a_lost_answer_is_a_promotion_all_the_same(there: FakeControlPlane, deaf: int) -> None:
    there.etcd.lost_answers = 1
    there.etcd.changed.append(lambda: setattr(there.etcd, "deaf", deaf))
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.voters == ["m1", "m2"]


def test_a_refusal_for_a_moment_is_asked_again(there: FakeControlPlane) -> None:
    there.etcd.refusals = [EtcdError("etcdserver: leader changed")] * 3
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.voters == ["m1", "m2"]


def test_a_learner_that_died_is_never_promoted(there: FakeControlPlane) -> None:
    there.etcd.stop(M2.address)
    with pytest.raises(StepError, match="the learner does not answer"):
        STEP.apply(there.world, [M2])
    assert there.etcd.learners == [URL]
    assert there.etcd.quorate_ever_since


def test_a_learner_that_comes_back_is_promoted(there: FakeControlPlane) -> None:
    there.etcd.stop(M2.address)
    there.etcd.looked.append(lambda: there.etcd.start("m2", M2.address))
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.voters == ["m1", "m2"]


def test_a_learner_that_somebody_removed_is_not_waited_for(there: FakeControlPlane) -> None:
    there.etcd.all.pop()
    with pytest.raises(StepError, match="is no longer in etcd's list"):
        STEP.apply(there.world, [M2])
    assert there.fakes.clock.monotonic() == 0


def test_a_member_that_votes_already_is_looked_at_and_left(there: FakeControlPlane) -> None:
    learner(there).learner = False
    there.etcd.refusals = [EtcdError("nobody should ask")]
    assert STEP.apply(there.world, [M2]) == {}
    assert len(there.etcd.refusals) == 1


def test_a_voter_that_dies_as_it_is_promoted_is_told_with_the_arithmetic(there: FakeControlPlane) -> None:
    there.etcd.changed.append(lambda: there.etcd.stop(M2.address))
    with pytest.raises(GuardError, match="0 of 2 voters are healthy, quorum is 2: no quorum"):
        STEP.apply(there.world, [M2])


def test_from_here_on_nothing_is_taken_back(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    STEP.undo(there.world, M2)
    assert there.etcd.voters == ["m1", "m2"]
    assert "Run the same command again" in STEP.commits
