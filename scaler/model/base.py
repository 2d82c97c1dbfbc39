"""The base of every value, and pydantic's findings in the user's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Value(BaseModel):
    """Frozen and closed: a typo in a field is an error with its path."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def tell(where: str, error: ValidationError, *, names: Mapping[str, str] | None = None) -> InputError:
    """Turn pydantic's ``error`` about ``where`` (a file, an option) into one InputError, a line a finding.

    ``names`` maps field names to the names the user knows them by, or to nothing where the user knows no such level.
    """
    lines = []
    for finding in error.errors(include_url=False):
        path = ".".join(filter(None, ((names or {}).get(str(part), str(part)) for part in finding["loc"])))
        value = finding["input"]
        # A finding about a value as a whole has all its fields as input; its message names those that matter.
        told = finding["type"] != "missing" and not (isinstance(value, dict) and finding["type"] == "value_error")
        given = f" (given: {value!r})" if told else ""
        message = finding["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {path}: {message}{given}" if path else f"{where}: {message}{given}")
    return InputError("\n".join(lines))
