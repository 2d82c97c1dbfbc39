"""The variables of the roles, as their argument_specs tell them: which there are, and of which type."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from scaler import assets
from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}
# Ansible's own, and what an operator keeps for other tools.
_FOREIGN = ("ansible_", "x_")


def types() -> dict[str, str]:
    """Return each public variable of the roles with the name of its type."""
    found: dict[str, str] = {}
    for path in assets.PLAYBOOKS.glob("roles/*/meta/argument_specs.yml"):
        specs = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        options = specs["argument_specs"]["main"]["options"]
        found |= {name: option["type"] for name, option in options.items()}
    return found


def must_be_known(where: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a variable that nobody reads: it is a typo, or it is for another tool and begins with x_."""
    known = set(known)
    for name in values:
        if name not in known and not name.startswith(_FOREIGN):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "variables of your own begin with x_"
            raise InputError(f"{where}: unknown variable {name}", hint=hint)


def checked(where: str, values: Mapping[str, Any], roles: Mapping[str, str], settings: set[str]) -> dict[str, Any]:
    """Return the roles' own variables among ``values``, each of its type; the cluster's settings are not among them."""
    found = {}
    for name in sorted(set(roles) - settings):
        if name not in values:
            continue
        value, wanted = values[name], _TYPES[roles[name]]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise InputError(f"{where}: {name}: {value!r} is not of type {roles[name]}")
        found[name] = value
    return found
