"""Where ``playbooks/``, ``templates/`` and ``inventories/`` are: the checkout's own, or the wheel's copy."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _find(name: str) -> Path:
    packed = _PACKAGE / "_assets" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


PLAYBOOKS = _find("playbooks")
TEMPLATES = _find("templates")
INVENTORIES = _find("inventories")
