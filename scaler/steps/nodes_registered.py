"""Make the Node objects before their kubelets start: cordoned, marked with this run, their pod CIDR known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.drivers import cni
from scaler.gateways.clock import wait_until
from scaler.gateways.kube import nodes
from scaler.model import versions
from scaler.model.machine_pools import carried
from scaler.plan.recipes.add_node import RUN_ANNOTATION
from scaler.steps.verification_objects import verification_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# A controller manager that has just been elected takes half a minute before it allocates.
CIDR_SECONDS = 60.0


class NodesRegistered:
    """The Node exists, no workload can land on it, and its pod CIDR is allocated."""

    title = "Register the nodes, cordoned"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        cidr = f", wait for its pod CIDR out of {settings.pod_cidr}" if cni.of(settings.cni).needs_pod_cidr else ""
        lines = [f"create the Node object, cordoned until it is proven{cidr}"]
        for host in plan.hosts:
            told = carried(settings.pools, host.pool if plan.makes == "workers" else None, host.failure_domain)
            words = [*(f"{key}={value}" for key, value in told.labels.items()), *(taint.told for taint in told.taints)]
            lines += [f"{host.name} carries {', '.join(words)}"] if words else []
        return lines

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Create what is missing, cordon what an earlier run left; then wait for the pod CIDRs."""
        names = [host.name for host in hosts]
        found = nodes(world.kube, names)
        there = {node.name for node in found}
        # What a run that was killed left of its verification; its tokens end by themselves.
        runs = {node.metadata.annotations.get(RUN_ANNOTATION, "") for node in found} - {""}
        world.kube.delete("namespaces", [verification_namespace(run) for run in sorted(runs)])
        if there:
            world.kube.call(["annotate", "nodes", *sorted(there), "--overwrite", f"{RUN_ANNOTATION}={world.run}"])
            world.kube.call(["cordon", *sorted(there)])
        missing = [host for host in hosts if host.name not in there]
        if missing:
            world.kube.create(_node(world, host) for host in missing)
            world.fresh |= {host.name for host in missing}
        if not cni.of(world.cluster.settings.cni).needs_pod_cidr:
            return {}
        return self._cidrs(world, names)

    def _cidrs(self, world: World, names: list[str]) -> Failures:
        def all_have() -> bool:
            for node in nodes(world.kube, names):
                if node.spec.pod_cidr:
                    world.pod_cidrs[node.name] = node.spec.pod_cidr
            return set(names) <= set(world.pod_cidrs)

        wait_until(world.clock, all_have, timeout=CIDR_SECONDS, every=0.1)
        why = (
            f"no pod CIDR after {CIDR_SECONDS:g} s: look for CIDRNotAvailable in kubectl get events, "
            "and whether the controller manager runs"
        )
        return {name: why for name in names if name not in world.pod_cidrs}

    def undo(self, world: World, host: Host) -> None:
        """Delete the Node, if it is marked as this run's."""
        found = nodes(world.kube, [host.name])
        ours = [n.name for n in found if world.is_ours(n.metadata.annotations.get(RUN_ANNOTATION, ""), host.name)]
        world.kube.delete("nodes", ours)


def _node(world: World, host: Host) -> dict[str, Any]:
    spec: dict[str, Any] = {"unschedulable": True}
    is_master = world.is_master(host)
    place = world.cluster.carried_by(host, master=is_master)
    labels = {"kubernetes.io/hostname": host.name, **place.labels}
    taints: list[dict[str, str]] = [taint.model_dump(exclude_defaults=True) for taint in place.taints]
    if is_master:
        # kubelet may not give itself role labels; up to 1.24 tools look for either key (RN 1.20, 1.24).
        labels["node-role.kubernetes.io/control-plane"] = ""
        key = "node-role.kubernetes.io/control-plane"
        if versions.minor(world.cluster.settings.kubernetes_version) <= (1, 24):
            labels["node-role.kubernetes.io/master"] = ""
            key = "node-role.kubernetes.io/master"
        if not world.cluster.settings.master_is_worker:
            taints.append({"key": key, "effect": "NoSchedule"})
    if taints:
        spec["taints"] = taints
    metadata = {"name": host.name, "labels": labels, "annotations": {RUN_ANNOTATION: world.run}}
    # Kubelets (1.20 for one) write into these maps without looking whether they are there, and the controller manager's
    # node lifecycle reads the Ready condition of every node likewise: both panic where they find none.
    nothing_yet = {"pods": "0"}
    now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    not_ready = {
        "type": "Ready",
        "status": "False",
        "reason": "Joining",
        "message": f"registered by scaler's run {world.run}; its kubelet has not reported yet",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    status = {"capacity": nothing_yet, "allocatable": nothing_yet, "conditions": [not_ready]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status}


STEP = NodesRegistered()
