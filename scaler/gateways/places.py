"""Where inventories are, and what can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from scaler.errors import InputError
from scaler.gateways import cloud_inventory

if TYPE_CHECKING:
    from collections.abc import Iterable

HOSTS_FILE = "hosts.yml"
CACHE_VARIABLE = "SCALER_CACHE_DIR"


def cache_dir() -> Path:
    """Return where scaler keeps what it can make or fetch again ($SCALER_CACHE_DIR)."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("scaler"))


def find(cluster: str, extra: Iterable[Path] = ()) -> Path:
    """Return the inventory directory of ``cluster``: a path, or a name under one of the places looked at in order.

    The places are those of $SCALER_INVENTORIES (separated by ':'), ./inventories, and the directories in ``extra``.
    """
    if "/" in cluster or cluster in {".", ".."}:
        places = [Path(cluster)]
    else:
        roots = [Path(p) for p in os.environ.get("SCALER_INVENTORIES", "").split(os.pathsep) if p]
        places = [*(root / cluster for root in (*roots, Path("inventories"))), *extra]
    for place in places:
        if (place / HOSTS_FILE).is_file() or cloud_inventory.is_one(place):
            return place.resolve()
    looked = ", ".join(str(place / HOSTS_FILE) for place in places)
    raise InputError(
        f"no inventory for cluster {cluster!r}: looked for {looked}",
        hint="name its directory with --cluster PATH, or set SCALER_INVENTORIES",
    )
