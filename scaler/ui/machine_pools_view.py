"""Pools of one's own machines, as data and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from scaler.ui import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.machine_pool_status import PoolStatus


def row(pool: PoolStatus) -> dict[str, Any]:
    """Return one pool for a program."""
    return {
        "name": pool.name,
        "min": pool.min,
        "max": pool.max,
        "workers": len(pool.workers),
        "ready": sum(bool(machine.ready) for machine in pool.workers),
        "standby": len(pool.standby),
        "failure_domains": {
            name: {"workers": working, "standby": waiting} for name, (working, waiting) in pool.domains.items() if name
        },
        "labels": pool.labels,
        "taints": list(pool.taints),
    }


def whole(pool: PoolStatus) -> dict[str, Any]:
    """Return one pool and its hosts for a program."""
    return {**row(pool), "machines": [machine.model_dump(mode="json") for machine in pool.machines]}


def show_pools(pools: Sequence[PoolStatus]) -> None:
    """Print pools, a line each."""
    rows = [("pool", "min", "max", "workers", "ready", "standby", "failure domains (working+waiting)")]
    for pool in pools:
        told = row(pool)
        most = "-" if pool.max is None else str(pool.max)
        domains = "  ".join(f"{name or '-'} {working}+{waiting}" for name, (working, waiting) in pool.domains.items())
        counted = (str(told["workers"]), str(told["ready"]), str(told["standby"]))
        rows.append((pool.name or "(none)", str(pool.min), most, *counted, domains))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in table.lines(rows):
        console.print(line)


def show_pool(pool: PoolStatus) -> None:
    """Print one pool and its hosts."""
    show_pools([pool])
    console = Console(highlight=False, soft_wrap=True, markup=False)
    carried = [*(f"{key}={value}" for key, value in pool.labels.items()), *pool.taints]
    if carried:
        console.print(f"its Nodes carry {', '.join(carried)}")
    for machine in pool.machines:
        ready = {True: "Ready", False: "not Ready", None: "no node" if machine.group == "workers" else ""}[
            machine.ready
        ]
        console.print("  " + "  ".join(filter(None, [machine.name, machine.group, machine.failure_domain, ready])))
