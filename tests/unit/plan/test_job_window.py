from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scaler.model.jobs import Window
from scaler.plan.job_window import closed

BERLIN = "Europe/Berlin"


def window(**told: Any) -> Window:
    return Window.model_validate(told)


def is_open(told: Window | None, at: str, zone: str = BERLIN) -> bool:
    return not closed(told, datetime.fromisoformat(at).replace(tzinfo=UTC), zone)


def test_without_a_window_any_time_will_do() -> None:
    assert is_open(None, "2026-07-01T12:00")


# In July Berlin is two hours ahead of UTC; the 1st is a Wednesday.
@pytest.mark.parametrize(
    ("at", "opened"),
    [
        ("2026-07-01T19:59:59", False),
        ("2026-07-01T20:00:00", True),
        ("2026-07-02T02:59:59", True),
        ("2026-07-02T03:00:00", False),
        ("2026-07-01T12:00:00", False),
    ],
)
def test_a_window_over_midnight_is_open_on_both_sides_of_it(at: str, *, opened: bool) -> None:
    assert is_open(window(not_before="22:00", not_after="05:00"), at) is opened


@pytest.mark.parametrize(
    ("at", "opened"),
    [("2026-07-01T20:30", True), ("2026-07-02T01:00", True), ("2026-07-02T20:30", False), ("2026-07-01T01:00", False)],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens(at: str, *, opened: bool) -> None:
    assert is_open(window(not_before="22:00", not_after="05:00", days=["wed"]), at) is opened


def test_a_window_that_ends_at_midnight_is_open_until_then() -> None:
    told = window(not_before="22:00", not_after="00:00")
    assert is_open(told, "2026-07-01T21:59:59")
    assert not is_open(told, "2026-07-01T22:00:00")


def test_a_window_without_an_end_is_open_until_midnight() -> None:
    told = window(not_before="20:00", days=["wed"])
    assert is_open(told, "2026-07-01T21:59")
    assert not is_open(told, "2026-07-01T22:01")


def test_a_refusal_says_what_the_clock_on_the_wall_shows() -> None:
    told = closed(window(not_before="22:00", not_after="05:00"), datetime(2026, 7, 1, 12, 0, tzinfo=UTC), BERLIN)
    assert told == "it is 14:00 in Europe/Berlin; it may begin at 22:00 or later and before 05:00"


@pytest.mark.parametrize(("at", "opened"), [("00:59", False), ("01:00", True), ("02:59", True), ("03:00", False)])
def test_a_window_goes_by_the_wall_where_the_clock_springs(at: str, *, opened: bool) -> None:
    # 01:00 UTC is 03:00 on that day: 02:30 never was.
    assert is_open(window(not_before="02:30", not_after="05:00"), f"2026-03-29T{at}") is opened


@pytest.mark.parametrize(("at", "opened"), [("00:00", True), ("00:59", True), ("01:00", True), ("02:00", False)])
def test_a_window_is_open_in_both_hours_of_one_name(at: str, *, opened: bool) -> None:
    assert is_open(window(not_before="02:00", not_after="03:00"), f"2026-10-25T{at}") is opened
