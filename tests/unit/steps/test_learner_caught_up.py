from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import StepError
from scaler.steps.learner_caught_up import CLOSE, STEP
from tests.fakes.control_plane import FakeControlPlane

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.etcd import FakeMember

M2 = FakeControlPlane.host("m2")
URL = "https://10.0.0.2:2380"
STALL = 60


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    """Return a cluster of three voters at entry ten million, and a learner that has none."""
    made = FakeControlPlane(tmp_path, "m2", etcd_stall_seconds=STALL)
    for number in (8, 9):
        made.etcd.all.append(type(made.etcd.all[0])(number, f"https://10.0.0.{number}:2380", f"m{number}"))
    made.etcd.index = 10_000_000
    for member in made.etcd.all:
        member.applied = made.etcd.index
    made.etcd.add_learner(URL)
    made.etcd.start("m2", M2.address, catches_up=False)
    return made


def learner(there: FakeControlPlane) -> FakeMember:
    found = there.etcd.at(URL)
    assert found
    return found


def goes_on(there: FakeControlPlane, entries: int, *, writes: int = 0) -> None:
    """Let the learner apply ``entries`` with each look, and the leader take ``writes``."""

    def one() -> None:
        there.etcd.index += writes
        there.etcd.all[0].applied = there.etcd.index
        learner(there).applied = min(learner(there).applied + entries, there.etcd.index)

    there.etcd.looked.append(one)


def test_a_learner_that_is_close_in_three_samples_has_caught_up(there: FakeControlPlane) -> None:
    learner(there).applied = there.etcd.index - CLOSE
    assert STEP.apply(there.world, [M2]) == {}
    assert there.fakes.clock.monotonic() == 1.5


def test_a_learner_is_waited_for_as_long_as_it_makes_progress(there: FakeControlPlane) -> None:
    goes_on(there, 20_000)
    assert STEP.apply(there.world, [M2]) == {}
    assert there.fakes.clock.monotonic() > 3 * STALL


def test_what_etcd_itself_calls_in_sync_is_not_close(there: FakeControlPlane) -> None:
    learner(there).applied = int(0.95 * there.etcd.index)
    with pytest.raises(StepError, match="500000 entries behind the leader"):
        STEP.apply(there.world, [M2])


def test_a_learner_that_stands_still_is_given_up_with_how_far_it_is_behind(there: FakeControlPlane) -> None:
    with pytest.raises(StepError, match=f"m2: its learner makes no progress for {STALL} s: 10000000 entries behind"):
        STEP.apply(there.world, [M2])
    assert STALL < there.fakes.clock.monotonic() < STALL + 2


def test_how_far_it_is_behind_is_told_on_the_way(there: FakeControlPlane) -> None:
    goes_on(there, 4_000_000)
    STEP.apply(there.world, [M2])
    assert there.fakes.said[0] == "m2: 10000000 entries behind m1"
    assert there.fakes.said[-1] == "m2: 0 entries behind m1"


def test_a_leader_that_is_busy_is_followed_within_a_second_of_its_writes(there: FakeControlPlane) -> None:
    learner(there).applied = there.etcd.index - 4000
    goes_on(there, 5000, writes=5000)
    assert STEP.apply(there.world, [M2]) == {}


def test_a_new_leader_is_told_noted_and_compared_with(there: FakeControlPlane) -> None:
    noted: list[dict[str, Any]] = []
    there.world.note = noted.append

    def elected() -> None:
        there.etcd.stop("10.0.0.1")
        there.etcd.term = 7
        learner(there).applied = there.etcd.index
        there.etcd.looked.clear()

    there.etcd.looked.append(elected)
    assert STEP.apply(there.world, [M2]) == {}
    assert "etcd has a new leader, m8 (term 7)" in there.fakes.said
    assert noted == [{"leader": "8", "term": 7}]


def test_without_a_leader_nothing_counts_as_close(there: FakeControlPlane) -> None:
    learner(there).applied = there.etcd.index
    for address in ("10.0.0.8", "10.0.0.9"):
        there.etcd.stop(address)
    with pytest.raises(StepError, match="etcd has no leader"):
        STEP.apply(there.world, [M2])


def test_a_learner_that_dies_is_given_up_after_the_stall(there: FakeControlPlane) -> None:
    there.etcd.stop(M2.address)
    with pytest.raises(StepError, match="the learner does not answer"):
        STEP.apply(there.world, [M2])


def test_a_learner_that_does_not_answer_is_waited_for_as_long_as_it_stores_more(there: FakeControlPlane) -> None:
    machine = there.fakes.ssh.machines["m2"]
    there.etcd.stop(M2.address)

    def one() -> None:
        machine.stored += 1_000_000
        if machine.stored >= 400_000_000:
            there.etcd.start("m2", M2.address)

    there.etcd.looked.append(one)
    assert STEP.apply(there.world, [M2]) == {}
    assert there.fakes.clock.monotonic() > 3 * STALL
    assert "m2: etcd has stored 399 MB" in there.fakes.said


def test_a_learner_that_begins_anew_again_and_again_gets_nowhere(there: FakeControlPlane) -> None:
    machine = there.fakes.ssh.machines["m2"]
    there.etcd.stop(M2.address)
    there.etcd.looked.append(lambda: setattr(machine, "stored", (machine.stored + 1) % 9))
    with pytest.raises(StepError, match="the learner does not answer"):
        STEP.apply(there.world, [M2])
    assert there.fakes.clock.monotonic() < 2 * STALL


def test_a_learner_that_somebody_removed_is_not_waited_for(there: FakeControlPlane) -> None:
    there.etcd.all.pop()
    with pytest.raises(StepError, match="m2: its learner is no longer in etcd's list"):
        STEP.apply(there.world, [M2])
    assert there.fakes.clock.monotonic() == 0


def test_a_member_that_votes_already_needs_no_catching_up(there: FakeControlPlane) -> None:
    learner(there).learner = False
    assert STEP.apply(there.world, [M2]) == {}
