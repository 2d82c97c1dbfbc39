"""How the components of a living host are set up, on its disk: one command that only reads."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from scaler.errors import ScalerError
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
    script = files("scaler.checks").joinpath("units_script.py").read_text(encoding="utf-8")
    said = ssh.run(host, [host.connection.python, "-"], stdin=script)
    if said.status != 0:
        why = (said.err.strip().splitlines() or ["no output"])[-1]
        raise ScalerError(f"{host.name}: its units could not be read: {why}")
    try:
        return SetUp.model_validate_json(said.out)
    except ValidationError as e:
        raise ScalerError(
            f"{host.name}: its units were told as nonsense: {e.errors(include_url=False)[0]['msg']}"
        ) from e
