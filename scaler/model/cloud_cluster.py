"""A managed cluster: its inventory, and nothing of its machines, which are the cloud's to tell."""

from __future__ import annotations

from pathlib import Path

from scaler.model.base import Value
from scaler.model.clouds import ManagedCluster


class CloudCluster(Value):
    """One managed cluster of the inventories."""

    directory: Path
    settings: ManagedCluster

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.settings.cluster_name
