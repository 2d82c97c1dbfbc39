"""Paths on this machine, as files of scaler's name them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("is not an absolute path")
    return path


def _plain(path: Path) -> Path:
    if not re.fullmatch(r"[-._/+@A-Za-z0-9]+", str(path)):
        raise ValueError("has characters that do not belong into a unit file")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
"""A path that is the same from wherever a job runs."""

UnitPath = Annotated[AbsolutePath, AfterValidator(_plain)]
"""An absolute path that stands in a unit file of systemd's without any quotation."""
