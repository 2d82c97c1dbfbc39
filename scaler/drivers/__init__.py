"""The variants, one file each, found by themselves; none knows another."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def found(kind: str) -> dict[str, Any]:
    """Return the DRIVER of each module of ``scaler.drivers.<kind>`` by the module's name."""
    parent = importlib.import_module(f"scaler.drivers.{kind}")
    names = [module.name for module in pkgutil.iter_modules(parent.__path__)]
    return {name: importlib.import_module(f"{parent.__name__}.{name}").DRIVER for name in names}
