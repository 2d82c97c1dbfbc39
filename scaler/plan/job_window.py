"""Whether a job may begin now, by the clock on the wall of its time zone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from scaler.model.jobs import DAYS

if TYPE_CHECKING:
    from datetime import datetime

    from scaler.model.jobs import Window


def closed(window: Window | None, now: datetime, zone: str) -> str:
    """Return why the job may not begin ``now``, empty where it may.

    A window that ends before it begins is open over midnight; it belongs to the day on which it opens.
    """
    if window is None:
        return ""
    here = now.astimezone(ZoneInfo(zone))
    at, end = here.time().replace(tzinfo=None, fold=0), window.not_after
    over_midnight = end is not None and end <= window.not_before
    after_midnight = over_midnight and end is not None and at < end
    day = here.date() - timedelta(days=1) if after_midnight else here.date()
    if DAYS[day.weekday()] not in window.days:
        return f"{DAYS[day.weekday()]} is not one of its days ({', '.join(window.days)})"
    opened = after_midnight or at >= window.not_before
    if opened and (end is None or over_midnight or at < end):
        return ""
    until = f" and before {end:%H:%M}" if end else ""
    return f"it is {here:%H:%M} in {zone}; it may begin at {window.not_before:%H:%M} or later{until}"
