"""When a job is due: cron's five fields as systemd's calendar has them, and the hour that a clock skips or repeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_FIELDS = 5
# As long as tables of time zones are worth something.
YEARS = 5
_HOUR = timedelta(hours=1)
# A timer is at most so late: its accuracy, and what starting takes on a busy machine.
LATE = timedelta(minutes=5)


def is_cron(schedule: str) -> bool:
    """Tell whether the schedule is cron's: five fields, none of which has a colon or a dash between letters' dots."""
    fields = schedule.split()
    return len(fields) == _FIELDS and not any(":" in field or ".." in field for field in fields)


def calendar(schedule: str) -> tuple[str, ...]:
    """Return the schedule as systemd's calendar expressions; together they are it. Raises InputError."""
    if not is_cron(schedule):
        last = schedule.rsplit(maxsplit=1)[-1]
        if last in available_timezones():
            raise InputError(f"schedule {schedule!r} has a time zone of its own", hint=f"say time_zone: {last}")
        return (schedule,)
    if schedule.split(maxsplit=1)[0].startswith("@"):
        raise InputError(f"schedule {schedule!r}: not five fields of cron")
    try:
        told = CronSim(schedule, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as e:
        raise InputError(f"schedule {schedule!r}: {e}", hint="cron has minute, hour, day, month, weekday") from e
    if {day for day in told.days if not 1 <= day <= 31} or any(isinstance(day, tuple) for day in told.weekdays):  # noqa: PLR2004 - days
        raise InputError(
            f"schedule {schedule!r}: 'L' and '#' are not every cron's", hint="systemd has Mon *-*-1..7 and *-*~1"
        )
    months, days = _set(told.months, range(1, 13)), _set(told.days, range(1, 32))
    at = f"{_set(told.hours, range(24))}:{_set(told.minutes, range(60))}:00"
    named = {int(day) % 7 for day in told.weekdays if isinstance(day, int)}
    week = "" if len(named) == len(_WEEKDAYS) else ",".join(_WEEKDAYS[day] for day in sorted(named)) + " "
    if week and days != "*" and not told.day_and:
        # Where both are said, cron runs on either.
        return (f"*-{months}-{days} {at}", f"{week}*-{months}-* {at}")
    return (f"{week}*-{months}-{days} {at}",)


def _set(values: Iterable[int], every: range) -> str:
    chosen = sorted(set(values))
    return "*" if chosen == list(every) else ",".join(f"{value:02}" for value in chosen)


def in_zone(expressions: Iterable[str], zone: str) -> tuple[str, ...]:
    """Return the expressions as they mean the zone's own clock."""
    return tuple(f"{expression} {zone}" for expression in expressions)


def skipped(zone: str, after: datetime, years: int = YEARS) -> Iterator[tuple[datetime, datetime]]:
    """Yield each stretch that the zone's clock skips in the coming years: its first time, and the first behind it."""
    here, step = ZoneInfo(zone), timedelta(hours=6)
    moment, end = after.astimezone(UTC).replace(minute=0, second=0, microsecond=0), after + timedelta(days=366 * years)
    while moment < end:
        leap = _offset(here, moment + step) - _offset(here, moment)
        if leap > timedelta(0):
            edge = _edge(here, moment, moment + step)
            behind = edge.astimezone(here).replace(tzinfo=None)
            yield behind - leap, behind
        moment += step


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _edge(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the first moment of the new offset, to the second."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high.replace(microsecond=0)


def caught_up(
    expressions: Iterable[str],
    zone: str,
    after: datetime,
    following: Callable[[str, datetime], datetime | None],
    years: int = YEARS,
) -> tuple[str, ...]:
    """Return calendar expressions for the moments at which a clock will have skipped a time of the schedule.

    ``following`` tells the next time of an expression behind a moment. It is asked as if there were no time zones, so
    a time in the stretch is one that would have been. A schedule that is due within the hour needs no catching up.
    """
    expressions = tuple(expressions)
    found = []
    for first, behind in skipped(zone, after, years):
        begin = first.replace(tzinfo=UTC) - timedelta(seconds=1)
        for expression in expressions:
            due = following(f"{expression} UTC", begin)
            if due is None or due >= behind.replace(tzinfo=UTC):
                continue
            again = following(f"{expression} UTC", behind.replace(tzinfo=UTC) - timedelta(seconds=1))
            if again is None or again - behind.replace(tzinfo=UTC) > _HOUR:
                found.append(f"{behind:%Y-%m-%d %H:%M:%S} {zone}")
    return tuple(dict.fromkeys(found))


def repeated(previous: datetime | None, now: datetime, zone: str, delay: timedelta) -> bool:
    """Tell whether ``now`` is the second time that a clock shows what it showed when the job ran last.

    systemd itself runs such a time once, but for a timer that was started anew in between.
    """
    if previous is None:
        return False
    here, then = now.astimezone(ZoneInfo(zone)), previous.astimezone(ZoneInfo(zone))
    if not here.fold or then.fold:
        return False
    return abs(here.replace(tzinfo=None, fold=0) - then.replace(tzinfo=None, fold=0)) <= LATE + delay
