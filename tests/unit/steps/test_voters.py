from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import GuardError
from scaler.gateways.etcd import EtcdError
from scaler.model.etcd import Alarm, EtcdState, HashKv, Status
from scaler.steps import voters
from scaler.steps.etcd_steady import STEP
from tests.fakes.clock import FakeClock
from tests.fakes.etcd import FakeEtcd, FakeMember
from tests.fakes.world import Fakes, host

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path


class Later(FakeClock):
    """A clock at which things happen: each of ``acts`` once its second has come."""

    def __init__(self, acts: dict[float, Callable[[], None]]) -> None:
        super().__init__()
        self._acts = acts

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for second in [s for s in self._acts if s <= self.monotonic()]:
            self._acts.pop(second)()


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd.of("m1", "m2", "m3")


def steady(etcd: FakeEtcd, clock: FakeClock | None = None, ours: Collection[int] = ()) -> EtcdState:
    return voters.steady(etcd, clock or FakeClock(), ours)


def refused(etcd: FakeEtcd, clock: FakeClock | None = None) -> GuardError:
    with pytest.raises(GuardError) as caught:
        steady(etcd, clock)
    return caught.value


def test_voters_that_stand_firm_are_looked_at_for_six_seconds(etcd: FakeEtcd) -> None:
    clock = FakeClock()
    assert len(steady(etcd, clock).voters) == 3
    assert clock.monotonic() == voters.HOLD_SECONDS


def test_a_voter_that_is_down_is_refused_with_the_arithmetic_after_half_a_minute(etcd: FakeEtcd) -> None:
    etcd.stop("10.0.0.2")
    clock = FakeClock()
    told = refused(etcd, clock)
    assert "2 of 3 voters are healthy, quorum is 2 (m2 is not): with one more it would be 4 voters" in told.message
    assert told.hint.startswith("bring the unhealthy voter back")
    assert clock.monotonic() == voters.PATIENCE_SECONDS


@pytest.mark.parametrize("second", [5, 15, 29])
def test_a_voter_that_comes_back_within_half_a_minute_is_waited_for(etcd: FakeEtcd, second: float) -> None:
    etcd.stop("10.0.0.2")
    clock = Later({second: lambda: etcd.start("m2", "10.0.0.2")})
    steady(etcd, clock)
    assert clock.monotonic() == second + voters.HOLD_SECONDS


def test_a_voter_that_flaps_begins_the_six_seconds_anew(etcd: FakeEtcd) -> None:
    clock = Later({4: lambda: etcd.stop("10.0.0.2"), 5: lambda: etcd.start("m2", "10.0.0.2")})
    steady(etcd, clock)
    assert clock.monotonic() == 5 + voters.HOLD_SECONDS


def test_a_new_leader_begins_the_six_seconds_anew(etcd: FakeEtcd) -> None:
    clock = Later({3: lambda: setattr(etcd, "term", 3)})
    steady(etcd, clock)
    assert clock.monotonic() == 3 + voters.HOLD_SECONDS


def test_a_leader_that_never_stays_is_refused(etcd: FakeEtcd) -> None:
    def elected() -> None:
        etcd.term += 1

    clock = Later({3.0 * n: elected for n in range(1, 40)})
    assert "its term keeps changing" in refused(etcd, clock).message
    assert clock.monotonic() < 2 * voters.PATIENCE_SECONDS


@pytest.mark.parametrize("second", [10, 29])
def test_an_etcd_without_a_leader_is_waited_for_half_a_minute(etcd: FakeEtcd, second: float) -> None:
    etcd.leaderless = True
    clock = Later({second: lambda: setattr(etcd, "leaderless", False)})
    steady(etcd, clock)
    assert clock.monotonic() == second + voters.HOLD_SECONDS


def test_an_etcd_that_finds_no_leader_in_half_a_minute_is_refused(etcd: FakeEtcd) -> None:
    etcd.leaderless = True
    clock = FakeClock()
    assert "0 of 3 voters are healthy, quorum is 2: no quorum" in refused(etcd, clock).message
    assert clock.monotonic() == voters.PATIENCE_SECONDS


def test_an_etcd_that_does_not_let_scaler_in_is_refused_with_what_it_needs(
    etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> EtcdState:
        raise EtcdError("etcdctl alarm list on m1: etcdserver: permission denied", hint="it needs the role root")

    monkeypatch.setattr(etcd, "look", look)
    told = refused(etcd)
    assert "permission denied" in told.message
    assert told.hint == "it needs the role root"


def test_a_lost_quorum_is_refused_with_the_arithmetic(etcd: FakeEtcd) -> None:
    etcd.stop("10.0.0.2")
    etcd.stop("10.0.0.3")
    assert "quorum is 2: no quorum, nothing can be changed" in refused(etcd).message


@pytest.mark.parametrize(("number", "name"), [(1, "NOSPACE"), (2, "CORRUPT")])
def test_an_alarm_is_refused_at_once_with_its_name_and_the_remedy(etcd: FakeEtcd, number: int, name: str) -> None:
    etcd.alarms = (Alarm(member=2, alarm=number),)
    clock = FakeClock()
    told = refused(etcd, clock)
    assert f"etcd has an alarm: {name} of m2" in told.message
    assert "etcdctl alarm disarm" in told.hint
    assert clock.monotonic() == 0


def test_a_foreign_learner_is_refused_at_once(etcd: FakeEtcd) -> None:
    etcd.all.append(FakeMember(9, "https://10.0.0.9:2380", learner=True, runs=False))
    clock = FakeClock()
    told = refused(etcd, clock)
    assert "a learner that no run of scaler's added is there: the member at https://10.0.0.9:2380" in told.message
    assert "etcdctl member remove" in told.hint
    assert clock.monotonic() == 0


def test_a_learner_of_ours_is_no_reason_to_stop(etcd: FakeEtcd) -> None:
    etcd.all.append(FakeMember(9, "https://10.0.0.9:2380", learner=True, runs=False))
    assert len(steady(etcd, ours={9}).learners) == 1


@pytest.mark.parametrize("behind", [voters.CLOSE + 1, 1_000_000])
def test_a_voter_that_lags_is_refused_with_how_far(etcd: FakeEtcd, behind: int) -> None:
    etcd.index = 2_000_000
    for member in etcd.all:
        member.applied = etcd.index
    etcd.all[2].applied -= behind
    assert f"a voter lags {behind} entries behind" in refused(etcd).message


def test_a_database_that_is_nearly_full_is_refused_with_its_size(etcd: FakeEtcd) -> None:
    etcd.db_size = 1900 << 20
    assert "the database has 1900 MiB, more than 80% of etcd's default quota" in refused(etcd).message


def test_an_etcd_that_does_not_answer_is_waited_for_and_then_told(etcd: FakeEtcd) -> None:
    etcd.deaf = 5
    steady(etcd)
    etcd.deaf = 999
    assert "etcd does not answer: context deadline exceeded" in refused(etcd).message


def test_a_look_at_the_alarms_that_is_not_answered_is_no_alarm(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    look, failures = etcd.look, [EtcdError("etcdctl alarm list on m1: context deadline exceeded")]

    def fails_once() -> EtcdState:
        if failures:
            raise failures.pop()
        return look()

    monkeypatch.setattr(etcd, "look", fails_once)
    assert len(steady(etcd).voters) == 3


def test_voters_that_name_different_leaders_are_refused(etcd: FakeEtcd) -> None:
    seen = etcd.look()
    status = {**seen.status, 2: Status.model_validate({**seen.status[2].model_dump(by_alias=True), "leader": 2})}
    told = voters.unfit(seen.model_copy(update={"status": status}), ())
    assert told == "the voters do not agree on a leader"


def test_the_step_looks_and_changes_nothing(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, [])
    assert STEP.apply(fakes.world, []) == {}
    assert fakes.etcd.voters == ["m1"]


def test_client_urls_are_those_of_voters_with_the_own_one_first(etcd: FakeEtcd) -> None:
    etcd.all.append(FakeMember(9, "https://10.0.0.9:2380", "m9", learner=True))
    one, two, three = (f"https://10.0.0.{n}:2379" for n in (1, 2, 3))
    assert voters.client_urls(etcd.members()) == [one, two, three]
    assert voters.client_urls(etcd.members(), host("m2", 2)) == [two, one, three]
    assert voters.client_urls(etcd.members(), host("m9", 9)) == [one, two, three]


def test_an_address_of_version_six_stands_in_brackets() -> None:
    six = host("m1", 1).model_copy(
        update={"connection": host("m1", 1).connection.model_copy(update={"address": "fd00::1"})}
    )
    assert (voters.peer_url(six), voters.client_url(six)) == ("https://[fd00::1]:2380", "https://[fd00::1]:2379")


def test_voters_with_the_same_data_are_told_apart_by_nothing(etcd: FakeEtcd) -> None:
    assert voters.same_data(etcd, etcd.look()) == ""


def test_a_voter_with_other_data_is_told_with_every_digest(etcd: FakeEtcd) -> None:
    etcd.digests = {2: HashKv(hash=255, compact_revision=10), 1: HashKv(hash=7, compact_revision=10)}
    etcd.digests[3] = etcd.digests[1]
    assert voters.same_data(etcd, etcd.look()) == "the voters' data differs at revision 50: m1 7, m2 ff, m3 7"


def test_digests_at_different_compactions_are_not_compared(etcd: FakeEtcd) -> None:
    etcd.digests = {2: HashKv(hash=255, compact_revision=11)}
    assert voters.same_data(etcd, etcd.look()) == ""
