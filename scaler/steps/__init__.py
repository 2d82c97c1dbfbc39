"""The verbs of a plan, one file each: describe, apply, undo."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from scaler.steps.world import Step


def find(name: str) -> Step:
    """Return the step called ``name``: the STEP of its module."""
    return cast("Step", importlib.import_module(f"scaler.steps.{name}").STEP)
