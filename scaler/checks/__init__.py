"""What must hold: one check a file, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any


@cache
def found(package: str, attribute: str = "CHECK") -> tuple[Any, ...]:
    """Return the ``attribute`` of each module of ``scaler.checks.<package>`` that has it, by the modules' names."""
    parent = importlib.import_module(f"scaler.checks.{package}")
    names = sorted(module.name for module in pkgutil.iter_modules(parent.__path__))
    modules = [importlib.import_module(f"{parent.__name__}.{name}") for name in names]
    return tuple(getattr(module, attribute) for module in modules if hasattr(module, attribute))
