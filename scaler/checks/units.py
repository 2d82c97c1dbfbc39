"""How the components of a living host are set up, on its disk: one command that only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from scaler.checks import asked
from scaler.model.base import Value
from scaler.model.components import Machine, Text

if TYPE_CHECKING:
    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host


class Unit(Value):
    """One component: the files of its unit, what those name, its process where it runs, and the binary's version."""

    component: str
    files: tuple[Text, ...]
    environment: dict[str, str] = Field(default={})
    configs: dict[str, str] = Field(default={})
    argv: tuple[str, ...] = ()
    version: str = ""
    running: str = ""


class SetUp(Value):
    """Every component of one host, and the host below them."""

    units: tuple[Unit, ...]
    machine: Machine


def look(ssh: Ssh, host: Host) -> SetUp:
    """Return how the components of ``host`` are set up."""
    return asked.told(
        ssh,
        host,
        ["-"],
        SetUp,
        failed="its units could not be read",
        nonsense="its units were told as nonsense",
        stdin=asked.script("units_script.py"),
    )
