"""Find the inventory of a cluster by its name, and read it where the cluster is a managed one; no door is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import InputError
from scaler.gateways import cloud_inventory, places

if TYPE_CHECKING:
    from scaler.model.cloud_cluster import CloudCluster


def directory_of(name: str) -> Path:
    """Return the inventory directory of cluster ``name``."""
    labs = Path(os.environ.get("SCALER_LAB_DIR") or "/var/lib/scaler-lab")
    return places.find(name, [labs / name / "inventory"])


def read_managed(name: str) -> CloudCluster | None:
    """Read the inventory of cluster ``name`` where it is a managed one; a quick look, and None for any other name."""
    try:
        directory = directory_of(name)
    except InputError:
        return None
    return cloud_inventory.read(directory)
