from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from scaler.errors import InputError
from scaler.gateways import calendar
from scaler.plan import job_schedule

BERLIN = "Europe/Berlin"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(expression: str, after: datetime) -> datetime | None:
    return next(iter(calendar.following(expression, after)), None)


def times(schedule: str, zone: str, after: datetime, count: int, *, catch_up: bool = False) -> list[datetime]:
    plain = job_schedule.calendar(schedule)
    every = [*job_schedule.in_zone(plain, zone)]
    every += job_schedule.caught_up(plain, zone, after, following) if catch_up else []
    return sorted({time for each in every for time in calendar.following(each, after, count)})[:count]


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/7", "5-50/15", "1,31,59"]),
    st.sampled_from(["*", "2", "*/5", "8-18", "0,23"]),
    st.sampled_from(["*", "1", "*/9", "10-20", "31"]),
    st.sampled_from(["*", "1,6", "2-4", "JAN", "*/5"]),
    st.sampled_from(["*", "0", "7", "1-5", "MON,SAT", "*/2", "5-7"]),
).filter(lambda fields: not (fields[2] == "31" and fields[3] == "2-4"))


@given(FIELDS)
def test_cron_means_to_systemd_what_it_means_to_cron(fields: tuple[str, ...]) -> None:
    schedule = " ".join(fields)
    expected = list(islice(CronSim(schedule, NEW_YEAR), 6))
    assert times(schedule, "UTC", NEW_YEAR, 6) == expected


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("61 * * * *", "minute"),
        ("0 0 L * *", "not every cron's"),
        ("0 0 * * 1#1", "not every cron's"),
        ("a b c d e", "schedule"),
        ("Mon 02:30 Europe/Berlin", "time zone of its own"),
        ("*-*-* 02:30 UTC", "time zone of its own"),
    ],
)
def test_a_schedule_that_is_not_one_is_refused(schedule: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        job_schedule.calendar(schedule)


def test_what_systemd_does_not_take_is_refused_in_its_words() -> None:
    with pytest.raises(InputError, match="'every now and then': is not a calendar expression"):
        calendar.check("every now and then", job_schedule.calendar("every now and then"))


def test_a_time_that_has_passed_for_good_has_no_next() -> None:
    assert calendar.following("2020-01-01 00:00:00 UTC", NEW_YEAR) == []


@pytest.mark.parametrize("schedule", ["30 2 * * *", "*-*-* 02:30"])
def test_a_time_that_does_not_exist_is_caught_up_as_soon_as_the_clock_has_sprung(schedule: str) -> None:
    # On 29 March 2026 the clock goes from 02:00 to 03:00.
    due = times(schedule, BERLIN, utc("2026-03-28T12:00"), 3, catch_up=True)
    assert due == [utc("2026-03-29T01:00"), utc("2026-03-30T00:30"), utc("2026-03-31T00:30")]


def test_a_time_that_does_not_exist_is_left_out_where_missed_runs_are_skipped() -> None:
    assert times("30 2 * * *", BERLIN, utc("2026-03-28T12:00"), 1) == [utc("2026-03-30T00:30")]


@pytest.mark.parametrize("schedule", ["30 2 * * *", "*-*-* 02:30"])
def test_a_time_that_exists_twice_is_run_once(schedule: str) -> None:
    # On 25 October 2026 the clock shows 02:30 at 00:30 UTC and at 01:30 UTC.
    due = times(schedule, BERLIN, utc("2026-10-24T12:00"), 2, catch_up=True)
    assert due == [utc("2026-10-25T00:30"), utc("2026-10-26T01:30")]


def test_a_schedule_for_every_few_minutes_needs_no_catching_up() -> None:
    for schedule in ("*/7 * * * *", "15 * * * *", "*:0/10"):
        plain = job_schedule.calendar(schedule)
        assert job_schedule.caught_up(plain, BERLIN, NEW_YEAR, following) == ()


def test_a_schedule_that_is_not_due_in_that_hour_needs_no_catching_up() -> None:
    for schedule, zone in (
        ("30 3 * * *", BERLIN),
        ("59 1 * * *", BERLIN),
        ("30 2 * * *", "UTC"),
        ("30 2 * * 1", BERLIN),
    ):
        plain = job_schedule.calendar(schedule)
        assert job_schedule.caught_up(plain, zone, NEW_YEAR, following) == (), (schedule, zone)


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        (BERLIN, ("2026-03-29T02:00", "2026-03-29T03:00")),
        ("America/New_York", ("2026-03-08T02:00", "2026-03-08T03:00")),
        ("Australia/Lord_Howe", ("2026-10-04T02:00", "2026-10-04T02:30")),
    ],
)
def test_the_stretch_that_a_clock_skips_is_known(zone: str, first: tuple[str, str]) -> None:
    found = next(job_schedule.skipped(zone, NEW_YEAR))
    assert found == tuple(datetime.fromisoformat(each) for each in first)


def test_a_clock_that_never_springs_skips_nothing() -> None:
    assert list(job_schedule.skipped("Asia/Shanghai", NEW_YEAR)) == []


@pytest.mark.parametrize(
    ("previous", "now", "again"),
    [
        ("2026-10-25T00:30:05", "2026-10-25T01:30:02", True),
        ("2026-10-25T00:30:05", "2026-10-25T01:50:02", False),
        ("2026-10-24T00:30:05", "2026-10-25T01:30:02", False),
        ("2026-10-25T00:30:05", "2026-10-25T00:31:00", False),
        ("2026-10-25T01:30:05", "2026-10-25T01:31:00", False),
        ("2026-07-01T00:30:05", "2026-07-01T01:30:02", False),
    ],
)
def test_a_timer_that_comes_again_as_the_clock_goes_back_is_known(previous: str, now: str, *, again: bool) -> None:
    assert job_schedule.repeated(utc(previous), utc(now), BERLIN, timedelta(0)) is again


def test_the_first_run_is_never_one_that_came_again() -> None:
    assert not job_schedule.repeated(None, utc("2026-10-25T01:30"), BERLIN, timedelta(0))
