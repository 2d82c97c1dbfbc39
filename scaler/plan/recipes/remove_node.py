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
# Once nothing of the node runs any more, its addresses may be another one's.
NETWORK = ("hosts_wiped", "network_left")


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
    network: bool = False,
) -> Plan:
    """Return the plan that takes the hosts away; empty where all of them are absent.

    With ``network`` the network keeps something for nodes that are gone, which it does not take away itself.
    """
    names = [host.name for host in named.hosts]
    batches = [tuple(names[at : at + max_unavailable]) for at in range(0, len(names), max_unavailable)]
    steps = [StepSpec(step="nodes_cordoned", hosts=tuple(names))] if names else []
    steps += [StepSpec(step=step, hosts=batch) for batch in batches for step in with_network(EACH, network=network)]
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


def with_network(names: Sequence[str], *, network: bool) -> tuple[str, ...]:
    """Return the steps, with ``network`` that of the network behind the wiping."""
    wiped, left = NETWORK
    return tuple(each for name in names for each in ((name, left) if network and name == wiped else (name,)))
