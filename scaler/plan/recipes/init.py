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

BEFORE_NODES = ("pki_made", "master_installed", "loadbalancer_installed", "api_answers", "cluster_objects")


def plan(cluster: Cluster) -> Plan:
    """Return the plan that makes the first master of ``cluster``."""
    if len(cluster.masters) != 1 or [h.name for h in cluster.etcd] != [h.name for h in cluster.masters]:
        raise InputError(
            f"{cluster.hosts_file}: init makes a cluster of one master with its own etcd; groups 'masters' and 'etcd' "
            f"have {len(cluster.masters)} and {len(cluster.etcd)} hosts",
            hint="put one host in both, run init, then add the others with: scaler add-master",
        )
    master = (cluster.masters[0].name,)
    balancers = tuple(host.name for host in cluster.loadbalancers)
    steps = [
        StepSpec(step=name, hosts=balancers if name == "loadbalancer_installed" else master) for name in BEFORE_NODES
    ]
    steps += [StepSpec(step=name, hosts=master) for name in add_node.STEPS if name != "inventory_written"]
    return Plan(
        change="init",
        cluster=cluster.name,
        hosts=(*cluster.masters, *cluster.loadbalancers),
        steps=tuple(steps),
        untouched="no other host is contacted",
        on_failure="stop",
    )
