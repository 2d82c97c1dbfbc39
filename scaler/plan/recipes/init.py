"""Make a cluster's first master, its etcd and its load balancers, by the roles that add-master uses too.

CA and certificates → etcd and control plane → load balancers → API answers → cluster-wide objects → its own kubelet
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import InputError
from scaler.plan.plan import Plan, StepSpec
from scaler.plan.recipes import add_node

if TYPE_CHECKING:
    from scaler.model.inventory import Cluster

CHANGE = "init"
BEFORE_NODES = (
    "pki_made",
    "etcd_installed",
    "master_installed",
    "balancers_updated",
    "api_answers",
    "cluster_objects",
)


def plan(cluster: Cluster, *, network: bool = False) -> Plan:
    """Return the plan that makes the first master of ``cluster``; ``network``: its daemons are placed with the node."""
    if len(cluster.masters) != 1 or len(cluster.etcd) != 1:
        raise InputError(
            f"{cluster.hosts_file}: init makes one master and one member of etcd, on the same host or on two; "
            f"groups 'masters' and 'etcd' have {len(cluster.masters)} and {len(cluster.etcd)} hosts",
            hint="leave one in each, run init, then add the others with: scaler add-master, scaler add-etcd",
        )
    master, member = (cluster.masters[0].name,), (cluster.etcd[0].name,)
    names = [name for name in BEFORE_NODES if name != "etcd_installed" or not cluster.own_etcd]
    steps = [StepSpec(step=name, hosts=member if name == "etcd_installed" else master) for name in names]
    steps += [
        StepSpec(step=name, hosts=master) for name in add_node.steps(network=network) if name != "inventory_written"
    ]
    return Plan(
        change=CHANGE,
        cluster=cluster.name,
        hosts=tuple({h.name: h for h in (*cluster.masters, *cluster.etcd, *cluster.loadbalancers)}.values()),
        steps=tuple(steps),
        untouched="no other host is contacted",
        on_failure="stop",
        makes="masters",
        without_api=True,
    )
