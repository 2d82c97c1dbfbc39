"""A Node as Kubernetes' own protobuf has it, as far as a template needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.gateways.externalgrpc.messages import message

if TYPE_CHECKING:
    from datetime import datetime

    from scaler.plan.node_template import Template

_Node = message("Node", "scaler.kubernetes")


def marshalled(template: Template, now: datetime) -> bytes:
    """Return the Node of ``template``, Ready since ``now``, as core.v1.Node is marshalled."""
    node = _Node()
    node.metadata.name = template.name
    node.metadata.labels.update(template.labels)
    node.spec.providerID = template.id
    for taint in template.taints:
        node.spec.taints.add(key=taint.key, value=taint.value, effect=taint.effect)
    for resources, told in ((node.status.capacity, template.capacity), (node.status.allocatable, template.allocatable)):
        for name, quantity in told.items():
            resources[name].string = quantity
    ready = node.status.conditions.add(type="Ready", status="True", reason="Template")
    for at in (ready.lastHeartbeatTime, ready.lastTransitionTime):
        at.seconds = int(now.timestamp())
    node.status.nodeInfo.kubeletVersion = f"v{template.kubernetes_version}"
    node.status.nodeInfo.operatingSystem = "linux"
    node.status.nodeInfo.architecture = template.arch
    return bytes(node.SerializeToString(deterministic=True))
