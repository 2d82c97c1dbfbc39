from __future__ import annotations

from scaler.gateways.clock import SystemClock, wait_until
from tests.fakes.clock import FakeClock


def test_what_holds_already_costs_no_time() -> None:
    clock = FakeClock()
    assert wait_until(clock, lambda: True, timeout=10, every=1)
    assert clock.monotonic() == 0


def test_what_comes_to_hold_is_waited_for_no_longer_than_needed() -> None:
    clock = FakeClock()
    assert wait_until(clock, lambda: clock.monotonic() >= 3, timeout=10, every=1)
    assert clock.monotonic() == 3


def test_what_holds_at_the_very_end_of_the_time_holds() -> None:
    clock = FakeClock()
    assert wait_until(clock, lambda: clock.monotonic() >= 10, timeout=10, every=1)


def test_what_never_holds_is_given_up_when_the_time_is_over() -> None:
    clock = FakeClock()
    assert not wait_until(clock, lambda: False, timeout=10, every=3)
    assert 10 <= clock.monotonic() < 13


def test_a_clock_that_is_set_meanwhile_changes_no_deadline() -> None:
    clock = FakeClock()
    clock.jump(3600)
    assert not wait_until(clock, lambda: False, timeout=10, every=1)
    assert clock.monotonic() == 10


def test_the_machines_time_is_in_utc() -> None:
    offset = SystemClock().now().utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0
