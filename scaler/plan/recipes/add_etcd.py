"""Add members to an etcd that stands on hosts of its own, one at a time.

etcd stands firm → snapshot → everything staged → learner added → started → caught up → PROMOTED
→ the API servers' etcd lists → all sets equal → inventory
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.plan import Plan, StepSpec
from scaler.plan.recipes import add_master

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scaler.model.inventory import Cluster, Host

BEFORE = ("etcd_steady", "etcd_snapshot", "master_staged", *add_master.MEMBER)
# The load balancers' files do not change; a master that an interrupted run set aside is taken back.
AFTER = ("balancers_updated", *add_master.END)


def plan(
    cluster: Cluster,
    hosts: Sequence[Host],
    *,
    voters: Collection[str],
    allow_even: bool,
    warnings: Sequence[str] = (),
) -> Plan:
    """Return the plan that makes etcd members of ``hosts``; empty where all of them are there."""
    known = {host.name for host in cluster.etcd}
    changing = [host for host in hosts if host.name not in known]
    told = add_master.aloud([host.name for host in changing], voters, allow_even=allow_even)
    steps = [
        StepSpec(step=name, hosts=(host.name,))
        for host in changing
        for name in (*(() if host.name in voters else BEFORE), *AFTER)
    ]
    return Plan(
        change="add-etcd",
        cluster=cluster.name,
        hosts=tuple(changing),
        steps=tuple(steps),
        present=tuple(host.name for host in hosts if host.name in known),
        warnings=(*warnings, *told),
        untouched="workers, load balancers' files, and the members of etcd that are there: none is restarted",
        on_failure="undo",
        allow_even=allow_even,
        makes="etcd",
    )
