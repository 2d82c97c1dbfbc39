"""Lengths of time as an operator writes them: 90, 90s, 10m, 2h, 7d."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,7})([smhd]?)")


def _seconds(told: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    if isinstance(told, bool) or not isinstance(told, str | int):
        told = ""
    found = _DURATION.fullmatch(str(told))
    if not found:
        raise ValueError("is not a duration: 90, 90s, 10m, 2h or 7d")
    return int(found[1]) * _UNITS[found[2]]


Seconds = Annotated[int, BeforeValidator(_seconds), Field(ge=0)]
"""A duration, in seconds."""


def told(seconds: int) -> str:
    """Return a duration as one writes it, in the largest unit that it is a whole number of."""
    return next(
        f"{seconds // size}{unit}"
        for unit, size in sorted(_UNITS.items(), key=lambda each: -each[1])
        if unit and seconds % size == 0 and (seconds or unit == "s")
    )
