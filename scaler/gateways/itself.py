"""What starts this very scaler anew, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import scaler


def program() -> list[str]:
    """Return the words of a command line that its arguments follow."""
    beside = Path(sys.executable).with_name("scaler")
    return [str(beside)] if beside.is_file() else [sys.executable, "-c", "from scaler.cli.main import main; main()"]


def places() -> list[Path]:
    """Return the directories that it is read from."""
    return [Path(sys.prefix), Path(sys.base_prefix), Path(scaler.__file__).parents[1]]
