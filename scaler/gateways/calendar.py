"""systemd's calendar expressions, told by systemd itself: no library knows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scaler.errors import InputError
from scaler.gateways.process import Completed, ProcessError, run

if TYPE_CHECKING:
    from collections.abc import Sequence

# "Next elapse: Sun 2026-10-25 00:30:00 UTC", and "Iter. #2: …" for those behind it.
_TIMES = re.compile(r"(?:Next elapse|Iter\. #\d+|Iteration #\d+): \w+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_PROGRAM = "systemd-analyze"


def check(schedule: str, expressions: Sequence[str]) -> None:
    """Refuse expressions that systemd does not take; ``schedule`` is what the operator wrote."""
    for expression in expressions:
        said = _asked([expression])
        if said.status != 0:
            why = said.err.strip().rpartition(": ")[2] or "unknown"
            raise InputError(
                f"schedule {schedule!r}: is not a calendar expression of systemd's ({why})",
                hint="like 'Mon..Fri 22:00', or cron's five fields, like '0 22 * * 1-5'",
            )


def following(expression: str, after: datetime, count: int = 1) -> list[datetime]:
    """Return the next ``count`` times of ``expression`` behind a moment, fewer where there are no more."""
    base = after.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    said = _asked([f"--iterations={count}", f"--base-time={base}", expression])
    if said.status != 0:
        raise InputError(f"{expression!r} is not a calendar expression of systemd's: {said.err.strip()}")
    return [datetime.fromisoformat(told).replace(tzinfo=UTC) for told in _TIMES.findall(said.out)]


def _asked(argv: Sequence[str]) -> Completed:
    env = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    try:
        return run([_PROGRAM, "calendar", *argv], timeout=20, check=False, env=env)
    except ProcessError as e:
        raise InputError(
            f"what a schedule means cannot be told: {e.message}", hint="systemd-analyze is part of systemd: install it"
        ) from e
