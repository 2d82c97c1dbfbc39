"""Answer the Cluster Autoscaler: each call at once, out of what was seen last; what takes time is done by others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.gateways.externalgrpc.messages import message
from scaler.gateways.externalgrpc.node import marshalled
from scaler.model.node_groups import Named
from scaler.plan import node_groups
from scaler.plan.node_template import template

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.autoscaler_groups import Groups
    from scaler.gateways.clock import Clock
    from scaler.model.node_groups import Instance, Ledger, World

# Whose value is the kind of accelerator; a pool's labels may have it.
GPU_LABEL = "accelerator"
_STATES = {"running": 1, "creating": 2, "deleting": 3}
_OUT_OF_RESOURCES, _OTHER = 1, 99

Message = Any
"""A message of the protocol; its class is made from the definition when scaler runs."""


class Answers:
    """A method for each of the service's; messages come in and go out, and nothing waits."""

    def __init__(self, groups: Groups, clock: Clock, wake: Callable[[], None]) -> None:
        self._groups = groups
        self._clock = clock
        self._wake = wake

    def NodeGroups(self, _: Message) -> Message:
        """Tell the groups and their bounds."""
        with self._groups.both() as (world, ledger):
            told = [_group(world, ledger, name) for name in node_groups.groups(world)]
        return message("NodeGroupsResponse")(nodeGroups=told)

    def NodeGroupForNode(self, request: Message) -> Message:
        """Tell the group of a Node; an empty one where it is none of ours."""
        with self._groups.both() as (world, ledger):
            name = node_groups.group_of(world, ledger, _named(request.node))
            group = _group(world, ledger, name) if name else message("NodeGroup")()
        return message("NodeGroupForNodeResponse")(nodeGroup=group)

    def PricingNodePrice(self, _: Message) -> Message:
        """Tell no price."""
        raise NotImplementedError("one's own machines have no price")

    def PricingPodPrice(self, _: Message) -> Message:
        """Tell no price."""
        raise NotImplementedError("one's own machines have no price")

    def GPULabel(self, _: Message) -> Message:
        """Tell the label of Nodes with an accelerator."""
        return message("GPULabelResponse")(label=GPU_LABEL)

    def GetAvailableGPUTypes(self, _: Message) -> Message:
        """Tell the accelerators that any pool's labels name."""
        response = message("GetAvailableGPUTypesResponse")()
        with self._groups.both() as (world, _ledger):
            kinds = {pool.labels.get(GPU_LABEL, "") for pool in world.cluster.settings.pools.values()}
        for kind in sorted(kinds - {""}):
            response.gpuTypes[kind].SetInParent()
        return response

    def Cleanup(self, _: Message) -> Message:
        """Do nothing: what was accepted is done, whether or not the autoscaler is there."""
        return message("CleanupResponse")()

    def Refresh(self, _: Message) -> Message:
        """Let the cluster be looked at soon."""
        self._wake()
        return message("RefreshResponse")()

    def NodeGroupTargetSize(self, request: Message) -> Message:
        """Tell the size that a group comes to."""
        with self._groups.both() as (world, ledger):
            size = node_groups.target(world, ledger, request.id)
        return message("NodeGroupTargetSizeResponse")(targetSize=size)

    def NodeGroupIncreaseSize(self, request: Message) -> Message:
        """Let more machines come; they are chosen, and on the disk, when this returns."""
        self._groups.increase(request.id, request.delta)
        self._wake()
        return message("NodeGroupIncreaseSizeResponse")()

    def NodeGroupDeleteNodes(self, request: Message) -> Message:
        """Let machines leave; it is on the disk when this returns."""
        self._groups.delete(request.id, [_named(node) for node in request.nodes])
        self._wake()
        return message("NodeGroupDeleteNodesResponse")()

    def NodeGroupDecreaseTargetSize(self, request: Message) -> Message:
        """Take back what is not there."""
        self._groups.decrease(request.id, request.delta)
        return message("NodeGroupDecreaseTargetSizeResponse")()

    def NodeGroupNodes(self, request: Message) -> Message:
        """Tell the machines of a group, and what became of those that did not come."""
        with self._groups.both() as (world, ledger):
            found = node_groups.instances(world, ledger, request.id)
        return message("NodeGroupNodesResponse")(instances=[_instance(each) for each in found])

    def NodeGroupTemplateNodeInfo(self, request: Message) -> Message:
        """Tell what a new Node of a group would be, for autoscalers of both generations."""
        with self._groups.both() as (world, _):
            node_groups.bounds(world, request.id)
            made = template(world, request.id)
        if made is None:
            raise NotImplementedError(
                f"pool {request.id} says neither cpu nor memory in the inventory, and has no Ready node that could tell"
            )
        node = marshalled(made, self._clock.now())
        return message("NodeGroupTemplateNodeInfoResponse")(nodeInfo=node, nodeBytes=node)

    def NodeGroupGetOptions(self, request: Message) -> Message:
        """Tell no options, so that the autoscaler's own defaults hold.

        Some autoscalers have options and no field for them, and would take nothing for these if any were told.
        """
        with self._groups.both() as (world, _):
            node_groups.bounds(world, request.id)
        return message("NodeGroupAutoscalingOptionsResponse")()


def _group(world: World, ledger: Ledger, name: str) -> Message:
    least, most = node_groups.bounds(world, name)
    found = node_groups.instances(world, ledger, name)
    states = ", ".join(f"{sum(each.state == state for each in found)} {state}" for state in _STATES)
    debug = f"pool {name} of cluster {world.cluster.name}: {states}"
    return message("NodeGroup")(id=name, minSize=least, maxSize=most, debug=debug)


def _named(node: Message) -> Named:
    return Named(id=node.providerID, name=node.name)


def _instance(told: Instance) -> Message:
    status = message("InstanceStatus")(instanceState=_STATES[told.state])
    if told.error:
        status.errorInfo.errorCode = told.code
        status.errorInfo.errorMessage = told.error
        status.errorInfo.instanceErrorClass = _OUT_OF_RESOURCES if told.short else _OTHER
    return message("Instance")(id=told.id, status=status)
