"""The end of a unit's log, for an operator who reads why a step failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError

if TYPE_CHECKING:
    from scaler.model.inventory import Host
    from scaler.steps.base import World

_LINES = 50


def log(world: World, host: Host, unit: str) -> str:
    """Return the last lines of ``unit``'s log on ``host``, nothing where the host is gone."""
    try:
        said = world.ssh.run(host, ["journalctl", "-u", unit, "-n", "1000", "--no-pager", "-o", "cat"], timeout=15)
    except ScalerError:
        return ""
    # Kubernetes' components tell all their flags at every start, which would be all one sees.
    lines = [line for line in said.out.splitlines() if " FLAG: " not in line][-_LINES:]
    return "\n".join(["", f"last lines of {unit} on {host.name}:", *lines])
