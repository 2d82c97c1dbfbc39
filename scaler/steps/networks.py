"""The doors that a network's driver gets out of a step's world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.drivers.cni import Doors

if TYPE_CHECKING:
    from scaler.steps.base import World


def doors(world: World) -> Doors:
    """Return what a driver may use in this run."""
    return Doors(world.cluster, world.kube, world.ssh, world.etcd)
