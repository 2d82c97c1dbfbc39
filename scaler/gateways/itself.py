"""What starts this very scaler anew, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path


def program() -> list[str]:
    """Return the words of a command line that its arguments follow."""
    beside = Path(sys.executable).with_name("scaler")
    return [str(beside)] if beside.is_file() else [sys.executable, "-c", "from scaler.cli.main import main; main()"]
