"""A managed cluster as one look saw it: its pools, the Nodes in them, and what goes on."""

from __future__ import annotations

from datetime import datetime

from scaler.model.base import Value
from scaler.model.holder import Holder
from scaler.model.pools import Pool
from scaler.model.status import LeaseSeen, RunSeen, Unknown


class PoolSeen(Pool):
    """A pool, how many of its Nodes are Ready, and those that are not, each with the reason."""

    ready: int = 0
    not_ready: tuple[str, ...] = ()


class CloudStatus(Value):
    """Everything; ``pools`` is None where the cloud did not tell, ``nodes`` where the API did not."""

    cluster: str
    kind: str
    region: str
    at: datetime
    api: bool = False
    version: str = ""
    pools: tuple[PoolSeen, ...] | None = None
    nodes: int | None = None
    foreign_nodes: tuple[str, ...] = ()
    runs: tuple[RunSeen, ...] = ()
    lock: Holder | None = None
    lease: LeaseSeen | None = None
    unknown: tuple[Unknown, ...] = ()
