from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import StepError
from scaler.steps import learner_added, learner_caught_up
from scaler.steps.learner_started import STEP
from tests.fakes.control_plane import APISERVER, ETCD, FakeControlPlane

if TYPE_CHECKING:
    from pathlib import Path

M2 = FakeControlPlane.host("m2")


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    made = FakeControlPlane(tmp_path, "m2")
    learner_added.STEP.apply(made.world, [M2])
    return made


def test_etcd_alone_runs_on_the_host_and_its_member_has_its_name(there: FakeControlPlane) -> None:
    assert STEP.apply(there.world, [M2]) == {}
    assert there.machines["m2"].units == {ETCD}
    assert [m.name for m in there.etcd.members()] == ["m1", "m2"]
    assert there.etcd.voters == ["m1"]


def test_its_first_start_has_no_limit_until_it_has_caught_up(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    assert there.machines["m2"].unlimited
    learner_caught_up.STEP.apply(there.world, [M2])
    assert not there.machines["m2"].unlimited


def test_a_learner_that_is_taken_back_leaves_no_start_without_a_limit(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    learner_added.STEP.undo(there.world, M2)
    assert not there.machines["m2"].unlimited


def test_it_starts_with_what_the_cluster_answered(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    assert there.machines["m2"].files["/etc/etcd/etcd.yaml"] == there.world.initial_cluster["m2"]


def test_a_learner_that_runs_already_is_not_started_again(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    before = list(there.etcd.history)
    assert STEP.apply(there.world, [M2]) == {}
    assert there.etcd.history == before


def test_an_api_server_that_was_rehearsed_goes_on_as_it_is(there: FakeControlPlane) -> None:
    there.machines["m2"].units.add(APISERVER)
    there.machines["m2"].lists = ("https://10.0.0.1:2379",)
    STEP.apply(there.world, [M2])
    assert there.machines["m2"].lists == ("https://10.0.0.1:2379",)


def test_a_member_that_does_not_start_is_told_in_its_units_words(there: FakeControlPlane) -> None:
    there.world.initial_cluster["m2"] = "m2=https://10.0.0.2:2380"
    with pytest.raises(StepError, match=r"m2: etcd\.service does not start: .*member count is unequal"):
        STEP.apply(there.world, [M2])


def test_data_of_a_member_that_was_removed_does_not_start(there: FakeControlPlane) -> None:
    there.machines["m2"].member = 77
    with pytest.raises(StepError, match="permanently removed from the cluster"):
        STEP.apply(there.world, [M2])


def test_a_unit_that_runs_and_a_member_that_does_not_answer_is_told_with_the_log(there: FakeControlPlane) -> None:
    there.machines["m2"].units.add(ETCD)
    there.fakes.ssh.machines["m2"].log = "panic: freepages"
    with pytest.raises(StepError) as caught:
        STEP.apply(there.world, [M2])
    assert "has not started after 30 s: the list has no name for it" in caught.value.message
    assert "last lines of etcd.service on m2:\npanic: freepages" in caught.value.message


def test_a_name_without_an_answer_is_a_start_since_it_answers_once_it_has_caught_up(there: FakeControlPlane) -> None:
    there.etcd.all[1].name = "m2"
    there.machines["m2"].units.add(ETCD)
    assert STEP.apply(there.world, [M2]) == {}


def test_a_learner_that_somebody_removed_meanwhile_is_named(there: FakeControlPlane) -> None:
    there.machines["m2"].units.add(ETCD)
    there.etcd.all.pop()
    with pytest.raises(StepError, match="it is no longer in etcd's list"):
        STEP.apply(there.world, [M2])


def test_a_look_that_is_not_answered_is_repeated(there: FakeControlPlane) -> None:
    # As the rehearsal of its API server has left it.
    there.world.etcd_servers["m2"] = ("https://10.0.0.1:2379",)
    there.etcd.deaf = 3
    assert STEP.apply(there.world, [M2]) == {}
