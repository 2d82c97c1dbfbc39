"""Take members out of an etcd that stands on hosts of its own, one at a time.

etcd stands firm → snapshot → the API servers' etcd lists → leader → MEMBER OUT (from here on only forward)
→ etcd stopped → etcd stands firm → host wiped → all sets equal → inventory
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.plan import Plan, StepSpec
from scaler.plan.recipes import remove_master

if TYPE_CHECKING:
    from scaler.model.inventory import Cluster
    from scaler.plan.recipes.remove_master import Going

END = ("hosts_wiped", "sets_equal", "inventory_pruned")
LIVING = (*remove_master.FIRM, *remove_master.MEMBER, *remove_master.STOPPED, *END)
HALF = ("etcd_lists_rolled", *remove_master.STOPPED, *END)
DEAD = (*remove_master.FIRM, "member_removed", *END)


def plan(cluster: Cluster, going: Going, *, allow_even: bool) -> Plan:
    """Return the plan that takes the members out; empty where all of them are absent."""
    told = remove_master.aloud(going, allow_even=allow_even)
    names = tuple(host.name for host in going.hosts)
    if going.dead:
        dead = DEAD if going.api else remove_master.WITHOUT_API
        steps = tuple(StepSpec(step=name, hosts=names) for name in dead if names)
    else:
        steps = tuple(
            StepSpec(step=step, hosts=(name,)) for name in names for step in (LIVING if name in going.voting else HALF)
        )
    return Plan(
        change="remove-etcd",
        cluster=cluster.name,
        hosts=going.hosts,
        steps=steps,
        present=going.absent,
        warnings=(*going.warnings, *told),
        untouched="workers, load balancers' files; the members of etcd that stay are never restarted",
        on_failure="stop",
        leaves="etcd",
        allow_even=allow_even,
        dead=names if going.dead else (),
        seen=dict(going.seen),
        without_api=not going.api,
    )
