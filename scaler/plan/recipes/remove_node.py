"""Take workers away: all are closed first, then some at a time are emptied, ended and given back.

    close (cordon) all → pods move off, volumes detach → kubelet stops → Node goes → host wiped → inventory

The kubelet stops before its Node goes, or it would register itself anew; the volumes detach before the kubelet stops,
since it is the kubelet that unmounts them. Until the Node is deleted everything can be taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.plan.plan import Plan, StepSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.inventory import Cluster, Host
    from scaler.plan.plan import Drain, Seen
    from scaler.plan.pods import Leaving

EACH = ("nodes_drained", "kubelet_stopped", "nodes_deleted", "hosts_wiped", "inventory_pruned")


class Named(NamedTuple):
    """What the operator named: hosts that leave, which of them are dead, and names that are absent already."""

    hosts: tuple[Host, ...]
    dead: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def plan(
    cluster: Cluster,
    named: Named,
    *,
    seen: Mapping[str, Seen],
    pods: Sequence[Leaving],
    drain: Drain,
    max_unavailable: int,
    warnings: Sequence[str] = (),
) -> Plan:
    """Return the plan that takes the hosts away; empty where all of them are absent."""
    names = [host.name for host in named.hosts]
    batches = [tuple(names[at : at + max_unavailable]) for at in range(0, len(names), max_unavailable)]
    steps = [StepSpec(step="nodes_cordoned", hosts=tuple(names))] if names else []
    steps += [StepSpec(step=step, hosts=batch) for batch in batches for step in EACH]
    return Plan(
        change="remove-node",
        cluster=cluster.name,
        hosts=named.hosts,
        steps=tuple(steps),
        present=named.absent,
        warnings=tuple(warnings),
        untouched="masters, etcd, load balancers, and all other nodes",
        on_failure="isolate",
        leaves="workers",
        dead=named.dead,
        drain=drain,
        seen=dict(seen),
        pods=tuple(pods),
    )
