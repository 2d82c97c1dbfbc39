"""Stop units for good on a host, whether they are there, run, or not; and start them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError

if TYPE_CHECKING:
    from scaler.model.inventory import Host
    from scaler.steps.base import World

SECONDS = 120
# Tells what was stopped here, a unit a line; fails where one still runs. Units in /etc cannot be masked.
STOP = """
for unit in "$@"; do
  [ "$(systemctl show --property=LoadState --value "$unit")" = loaded ] || continue
  if systemctl is-active --quiet "$unit" || systemctl is-enabled --quiet "$unit"; then echo "$unit"; fi
  systemctl disable --now "$unit" || exit 1
  if systemctl is-active --quiet "$unit"; then echo "$unit still runs" >&2; exit 1; fi
done
"""
# A unit that is not there, as kube-proxy's where it is not wanted, cannot have been stopped.
START = """
for unit in "$@"; do
  [ "$(systemctl show --property=LoadState --value "$unit")" = not-found ] && continue
  systemctl enable --now "$unit" || exit 1
done
"""


def stop(world: World, host: Host, *units: str) -> None:
    """Stop and disable ``units`` in this order; what was stopped here is known to ``start``."""
    argv = ["sh", "-c", STOP, "stop", *units]
    said = world.ssh.run(host, argv, timeout=SECONDS)
    # One that was asked twice has told at the first time.
    known = world.stopped.get(host.name, ())
    told = tuple(unit for unit in said.out.split() if unit in units and unit not in known)
    world.stopped[host.name] = (*known, *told)
    if said.status != 0:
        raise StepError(f"{host.name}: {', '.join(units)} cannot be stopped: {said.err.strip()}")


def start(world: World, host: Host, *units: str) -> None:
    """Enable and start ``units``."""
    said = world.ssh.run(host, ["sh", "-c", START, "start", *units], timeout=SECONDS)
    if said.status != 0:
        raise StepError(f"{host.name}: {', '.join(units)} cannot be started again: {said.err.strip()}")
