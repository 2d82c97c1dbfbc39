"""Bring to hosts on standby what they need to become workers, all at once and each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.plan import Plan, StepSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.model.inventory import Cluster, Host

CHANGE = "prefetch"


def plan(cluster: Cluster, hosts: Sequence[Host], *, present: Iterable[str], warnings: Iterable[str] = ()) -> Plan:
    """Return the plan that fills the caches of ``hosts``; ``present`` are those that have everything."""
    names = tuple(host.name for host in hosts)
    return Plan(
        change=CHANGE,
        cluster=cluster.name,
        hosts=tuple(hosts),
        steps=(StepSpec(step="hosts_prefetched", hosts=names),) if names else (),
        present=tuple(present),
        warnings=tuple(warnings),
        untouched="the cluster: nothing joins, and no unit is started or stopped",
        makes="",
    )
