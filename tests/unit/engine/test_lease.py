from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scaler.engine.lease import Lease, held
from scaler.errors import LockedError, UnreachableError
from scaler.gateways import lease as door
from scaler.gateways.kube import KubeError
from scaler.model.holder import Holder
from tests.fakes.clock import BEGIN, FakeClock
from tests.fakes.kube import FakeKube

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = 60


class Deaf(FakeKube):
    """An API whose next answers to a write are lost on their way: what was asked is done all the same."""

    lose = 0

    def call(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 30) -> str:
        told = super().call(argv, stdin=stdin, timeout=timeout)
        if self.lose and argv[0] in {"create", "replace"}:
            self.lose -= 1
            raise UnreachableError("the API server does not answer: i/o timeout")
        return told


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kube(clock: FakeClock) -> Deaf:
    return Deaf(clock)


def holder(host: str, **more: Any) -> Holder:
    told = {"user": "ops", "host": host, "pid": 4711, "since": BEGIN, "doing": "add-node n1", "run": f"run-{host}"}
    return Holder.model_validate({**told, **more})


def lease(kube: FakeKube, host: str, **more: Any) -> Lease:
    return Lease(kube, kube.clock, "prod", holder(host, **more), SECONDS)


def nobody(_: door.Held) -> bool:
    return False


def who(kube: FakeKube) -> str:
    found = door.look(kube)
    return found.holder.host if found else ""


def test_a_lease_tells_everybody_who_since_when_from_where_and_doing_what(kube: Deaf) -> None:
    lease(kube, "ctl1").take(nobody)
    told = kube.of("Lease")["scaler"]
    assert told["metadata"]["annotations"] == {
        "scaler.dev/run": "run-ctl1",
        "scaler.dev/change": "add-node n1",
        "scaler.dev/since": "2026-03-01T02:00:00.000000Z",
        "scaler.dev/from": "ops@ctl1, process 4711",
    }
    assert told["spec"]["holderIdentity"] == "ops@ctl1/4711/run-ctl1"
    assert told["spec"]["leaseDurationSeconds"] == SECONDS


def test_a_second_controller_is_told_who_holds_it_and_how_long(kube: Deaf, clock: FakeClock) -> None:
    lease(kube, "ctl1").take(nobody)
    clock.sleep(20)
    with pytest.raises(LockedError) as refused:
        lease(kube, "ctl2").take(nobody)
    assert refused.value.message == (
        "cluster prod is being changed: ops on ctl1 (process 4711) since 2026-03-01 02:00:00 UTC: add-node n1, "
        "run run-ctl1; its lease runs out in 40 s"
    )
    assert "scaler unlock --i-checked" in refused.value.hint
    assert who(kube) == "ctl1"


def test_one_that_has_run_out_is_refused_all_the_same(kube: Deaf, clock: FakeClock) -> None:
    lease(kube, "ctl1").take(nobody)
    clock.sleep(SECONDS + 7)
    with pytest.raises(LockedError, match="ran out 7 s ago"):
        lease(kube, "ctl2").take(nobody)
    assert who(kube) == "ctl1"


def test_a_refused_one_gives_nothing_back(kube: Deaf) -> None:
    lease(kube, "ctl1").take(nobody)
    second = lease(kube, "ctl2")
    with pytest.raises(LockedError):
        second.take(nobody)
    second.release()
    assert who(kube) == "ctl1"


def test_the_lease_of_a_run_that_is_known_to_be_dead_is_taken_at_once(kube: Deaf) -> None:
    lease(kube, "ctl1").take(nobody)
    lease(kube, "ctl1", run="run-2").take(lambda found: found.holder.run == "run-ctl1")
    found = door.look(kube)
    assert found is not None
    assert found.holder.run == "run-2"


def test_a_lease_that_was_given_back_is_free(kube: Deaf) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    first.release()
    assert door.look(kube) is None
    lease(kube, "ctl2").take(nobody)
    assert who(kube) == "ctl2"


@pytest.mark.parametrize("free", [False, True])
def test_of_two_that_take_it_in_the_same_moment_one_is_refused(kube: Deaf, *, free: bool) -> None:
    if free:
        before = lease(kube, "ctl0")
        before.take(nobody)
        before.release()
    kube.refuse = once_between(kube, lambda: lease(kube, "ctl2").take(nobody))
    with pytest.raises(LockedError, match="ops on ctl2"):
        lease(kube, "ctl1").take(nobody)
    assert who(kube) == "ctl2"


def once_between(kube: FakeKube, act: Callable[[], None]) -> Callable[[Sequence[str]], None]:
    """Let ``act`` happen before the first write arrives."""

    def refuse(argv: Sequence[str]) -> None:
        if argv[0] in {"create", "replace"}:
            kube.refuse = lambda _: None
            act()

    return refuse


@pytest.mark.parametrize("lost", [1, 2])
def test_an_answer_that_is_lost_while_it_is_taken_locks_nobody_out(kube: Deaf, lost: int) -> None:
    kube.lose = lost
    first = lease(kube, "ctl1")
    first.take(nobody)
    assert who(kube) == "ctl1"
    first.must_hold()
    first.release()
    assert who(kube) == ""


def test_where_no_answer_ever_comes_what_was_taken_is_given_back(kube: Deaf) -> None:
    kube.lose = 100
    with pytest.raises(UnreachableError), held(lease(kube, "ctl1"), SECONDS, nobody, lambda _: None):
        pytest.fail("it was not taken")
    assert who(kube) == ""


def test_an_answer_that_is_lost_while_it_is_renewed_loses_nothing(kube: Deaf, clock: FakeClock) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    clock.sleep(10)
    kube.lose = 1
    with pytest.raises(UnreachableError):
        first.renew()
    first.renew()
    clock.sleep(15)
    first.must_hold()
    assert who(kube) == "ctl1"


def test_an_api_that_is_away_stops_nothing_until_the_lease_runs_out(kube: Deaf, clock: FakeClock) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    kube.down = "connection refused"
    clock.sleep(SECONDS - 1)
    first.must_hold()
    clock.sleep(1)
    with pytest.raises(LockedError, match=r"could not be renewed for 60 s and has run out: .*connection refused"):
        first.must_hold()


def test_one_that_ran_out_unseen_and_that_nobody_took_is_renewed_and_goes_on(kube: Deaf, clock: FakeClock) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    clock.sleep(10 * SECONDS)
    first.must_hold()
    found = door.look(kube)
    assert found is not None
    assert found.renewed == BEGIN + timedelta(seconds=10 * SECONDS)


def test_a_machine_that_was_suspended_believes_its_wall_clock(kube: Deaf, clock: FakeClock) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    kube.down = "connection refused"
    clock.jump(SECONDS)
    with pytest.raises(LockedError, match="has run out"):
        first.must_hold()


@pytest.mark.parametrize("taken_away", [True, False])
def test_one_that_is_somebody_elses_stops_the_run_for_good_and_is_left_alone(
    kube: Deaf, clock: FakeClock, *, taken_away: bool
) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    if taken_away:
        del kube.objects["Lease", "kube-system", "scaler"]
    else:
        lease(kube, "ctl2").take(lambda _: True)
    clock.sleep(21)
    for _ in range(2):
        with pytest.raises(LockedError, match="held by nobody" if taken_away else "held by ops on ctl2"):
            first.must_hold()
    first.renew()
    first.release()
    assert who(kube) == ("" if taken_away else "ctl2")


def test_it_is_given_back_though_the_last_renewals_answer_was_lost(kube: Deaf) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    kube.lose = 1
    with pytest.raises(UnreachableError):
        first.renew()
    first.release()
    assert who(kube) == ""


def test_an_answer_that_is_lost_while_it_is_given_back_is_looked_after(kube: Deaf) -> None:
    first = lease(kube, "ctl1")
    first.take(nobody)
    kube.lose = 1
    first.release()
    lease(kube, "ctl2").take(nobody)


def test_one_that_cannot_be_given_back_is_told(kube: Deaf) -> None:
    told: list[str] = []
    with held(lease(kube, "ctl1"), SECONDS, nobody, told.append):
        kube.down = "connection refused"
    assert "could not be given back" in told[0]
    assert "scaler unlock --i-checked" in told[0]


def test_it_is_given_back_after_a_failure_and_an_interruption(kube: Deaf) -> None:
    def fail() -> None:
        assert who(kube) == "ctl1"
        raise error

    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error), held(lease(kube, "ctl1"), SECONDS, nobody, lambda _: None):
            fail()
        assert who(kube) == ""


def test_a_thread_renews_it_meanwhile_and_tries_again_where_the_api_blinks(kube: Deaf) -> None:
    renewals: list[dict[str, Any]] = []
    enough = threading.Event()

    def hear(told: dict[str, Any]) -> None:
        renewals.append(told)
        kube.lose = 1 if len(renewals) == 2 else 0
        if len(renewals) == 5:
            enough.set()

    kube.on_lease.append(hear)
    with held(Lease(kube, kube.clock, "prod", holder("ctl1"), 1), 1, nobody, lambda _: None):
        assert enough.wait(30)
    assert {told["spec"]["holderIdentity"] for told in renewals[:5]} == {"ops@ctl1/4711/run-ctl1"}


def test_a_lease_that_something_else_wrote_is_held_by_what_it_says(kube: Deaf) -> None:
    spec = {"holderIdentity": "some-operator", "renewTime": "2026-03-01T02:00:00.000000Z", "leaseDurationSeconds": 15}
    document = {"kind": "Lease", "metadata": {"name": "scaler", "namespace": "kube-system"}, "spec": spec}
    kube.call(["create", f"--raw={door.LEASES}"], stdin=json.dumps(document))
    with pytest.raises(LockedError, match="some-operator on an unknown host"):
        lease(kube, "ctl1").take(nobody)


def test_an_api_that_refuses_leases_ends_it_before_the_first_step(kube: Deaf) -> None:
    kube.refuse = lambda argv: "Error from server (Forbidden): leases" if argv[0] == "create" else None
    with pytest.raises(KubeError, match="Forbidden"):
        lease(kube, "ctl1").take(nobody)
