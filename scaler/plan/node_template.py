"""What a machine of a pool would be as a Node, before there is one: the autoscaler tries pods on it in its head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.model.base import Value
from scaler.model.machine_pools import PoolTaint
from scaler.model.node_groups import SCHEME

if TYPE_CHECKING:
    from scaler.model.inventory import Host
    from scaler.model.node_groups import World
    from scaler.model.state import Node

# The kubelet's default.
PODS = "110"


class Template(Value):
    """A Node that there might be."""

    name: str
    id: str
    labels: dict[str, str]
    taints: tuple[PoolTaint, ...]
    capacity: dict[str, str]
    allocatable: dict[str, str]
    kubernetes_version: str
    arch: str


def template(world: World, group: str) -> Template | None:
    """Return what a new Node of ``group`` would be, None where nothing tells how big its machines are.

    The pool's own word on cpu and memory comes first; what it does not say is told by a Node of the pool.
    """
    cluster = world.cluster
    pool, settings = cluster.settings.pools[group], cluster.settings
    hosts = (*cluster.waiting(group), *cluster.working(group))
    said = {name: told for name, told in (("cpu", pool.cpu), ("memory", pool.memory)) if told}
    capacity, allocatable = ({"pods": PODS, **told, **said} for told in _measured(world, cluster.working(group)))
    if not {"cpu", "memory"} <= set(allocatable):
        return None
    name = f"{group}-template"
    # What not all of them carry, like a failure domain, no new one surely has.
    carried = [set(cluster.carried_by(host).labels.items()) for host in hosts] or [set(pool.labels.items())]
    return Template(
        name=name,
        id=f"{SCHEME}{cluster.name}/{name}",
        labels={
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": settings.kubernetes_arch,
            "kubernetes.io/hostname": name,
            **dict(sorted(set.intersection(*carried))),
        },
        taints=pool.taints,
        capacity=capacity,
        allocatable=allocatable,
        kubernetes_version=settings.kubernetes_version,
        arch=settings.kubernetes_arch,
    )


def _measured(world: World, working: tuple[Host, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a Ready Node of the pool has, and what of that it gives to pods; of all of them the first."""
    nodes: list[Node] = [node for host in working if (node := world.node(host.name)) is not None and node.ready]
    return (nodes[0].status.capacity, nodes[0].status.allocatable) if nodes else ({}, {})
