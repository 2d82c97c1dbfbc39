"""Add workers: all in one batch, each on its own.

    register the Node (cordoned) → credentials → files and units → kubelet joins → [network] → proof → open → inventory

The Node is made before its kubelet starts and stays cordoned until it is proven: its pod CIDR is known from the
beginning, and no workload meets a node that nobody has tried. The network has a step only where it has an API, or
daemons, of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from scaler.errors import PreflightError
from scaler.plan import pod_cidrs
from scaler.plan.plan import Living, Plan, StepSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import ClusterState, Node

RUN_ANNOTATION = "scaler.dev/joining-in-run"

STEPS = (
    "nodes_registered",
    "credentials_issued",
    "worker_installed",
    "kubelet_joined",
    "join_verified",
    "nodes_opened",
    "inventory_written",
)
NETWORK = "network_joined"
ADOPTION = ("join_verified", "inventory_written")
NOTHING = Living()


class Standing(Enum):
    """What a host is to the cluster before the change."""

    NEW = "new"
    UNFINISHED = "joined half-way by an earlier run"
    ADOPTED = "a node already, but not in the inventory"
    PRESENT = "there already"


def standing(host: Host, cluster: Cluster, state: ClusterState) -> Standing:
    """Tell what ``host`` is; raises PreflightError where the inventory and the cluster contradict each other."""
    node = state.node(host.name)
    listed = any(host.name == worker.name for worker in cluster.workers)
    if node is None:
        return Standing.NEW
    if RUN_ANNOTATION in node.metadata.annotations:
        return Standing.UNFINISHED
    if listed:
        _same_and_ready(host, node)
        return Standing.PRESENT
    if not node.ready:
        raise PreflightError(
            f"{host.name} is a node already, not Ready, and no run of scaler made it: {node.why_not_ready}",
            hint="repair it, or delete the Node, then try again",
        )
    return Standing.ADOPTED


def _same_and_ready(host: Host, node: Node) -> None:
    if node.internal_ip and node.internal_ip != host.address:
        raise PreflightError(
            f"{host.name}: the inventory says {host.address}, its node has {node.internal_ip}",
            hint="correct the inventory; nothing was touched",
        )
    if not node.ready:
        raise PreflightError(
            f"{host.name} is a worker of this cluster already and not Ready: {node.why_not_ready}",
            hint="repair it, or remove it and add it again",
        )


def steps(*, network: bool) -> tuple[str, ...]:
    """Return the steps of a node that joins; with ``network`` that of its network too."""
    before = STEPS.index("join_verified")
    return (*STEPS[:before], *([NETWORK] if network else []), *STEPS[before:])


def plan(
    cluster: Cluster,
    state: ClusterState,
    hosts: Iterable[Host],
    *,
    warnings: Iterable[str] = (),
    living: Living = NOTHING,
) -> Plan:
    """Return the plan that makes workers of ``hosts``; empty where all of them are there."""
    by_name = {host.name: host for host in hosts}
    stands: Mapping[str, Standing] = {name: standing(host, cluster, state) for name, host in by_name.items()}
    joining = [name for name, stand in stands.items() if stand in {Standing.NEW, Standing.UNFINISHED}]
    adopted = [name for name, stand in stands.items() if stand is Standing.ADOPTED]
    fresh = [name for name in joining if not _has_cidr(state, name)]
    used = [node.spec.pod_cidr for node in state.nodes if node.spec.pod_cidr]
    if used:
        pod_cidrs.must_hold(cluster.settings.pod_cidr, cluster.settings.pod_cidr_node_mask, used, len(fresh))
    changing = tuple(sorted({*joining, *adopted}, key=list(by_name).index))
    return Plan(
        change="add-node",
        cluster=cluster.name,
        hosts=tuple(by_name[name] for name in changing),
        steps=_steps(joining, adopted, changing, network=living.works),
        present=tuple(name for name, stand in stands.items() if stand is Standing.PRESENT),
        warnings=(*warnings, *_not_carried(cluster, state, [by_name[name] for name in adopted])),
        untouched=f"no other host is changed: {len(state.nodes)} nodes that are there, load balancers, etcd",
        follows=living.follows,
    )


def _steps(joining: list[str], adopted: list[str], changing: tuple[str, ...], *, network: bool) -> tuple[StepSpec, ...]:
    both = {"join_verified", "inventory_written"}
    names = steps(network=network) if joining else ADOPTION if adopted else ()
    return tuple(StepSpec(step=name, hosts=changing if name in both else tuple(joining)) for name in names)


def _has_cidr(state: ClusterState, name: str) -> bool:
    node = state.node(name)
    return bool(node and node.spec.pod_cidr)


def _not_carried(cluster: Cluster, state: ClusterState, adopted: Iterable[Host]) -> Iterable[str]:
    """Tell what the Node of a host that is adopted has not got of its pool's: somebody else made it."""
    for host in adopted:
        node = state.node(host.name)
        missing = cluster.carried_by(host).missing(node) if node else []
        if missing:
            yield f"{host.name} is a node already and is left as it is: it has no {', no '.join(missing)}"
