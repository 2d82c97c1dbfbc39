"""What goes over the wire between the Cluster Autoscaler and a provider, as its published description has it.

Two generations of it are about. Up to 1.33 the messages hold Kubernetes' own (a Node, a Pod, a Time, a Duration of
apimachinery). 1.34 added fields beside these: bytes, and Timestamp and Duration of Protocol Buffers. From 1.35 on only
those are left. The table has both; who is told what is the client's affair.
"""

from __future__ import annotations

from typing import Any

from tests.clients.tables import Messages

SERVICE = "clusterautoscaler.cloudprovider.v1.externalgrpc.CloudProvider"

# Method, request, answer.
METHODS: dict[str, tuple[str, str]] = {
    **{
        name: (f"{name}Request", f"{name}Response")
        for name in (
            *("NodeGroups", "NodeGroupForNode", "PricingNodePrice", "PricingPodPrice", "GPULabel"),
            *("GetAvailableGPUTypes", "Cleanup", "Refresh", "NodeGroupTargetSize", "NodeGroupIncreaseSize"),
            *("NodeGroupDeleteNodes", "NodeGroupDecreaseTargetSize", "NodeGroupNodes", "NodeGroupTemplateNodeInfo"),
        )
    },
    "NodeGroupGetOptions": ("NodeGroupAutoscalingOptionsRequest", "NodeGroupAutoscalingOptionsResponse"),
}
OPTIONAL = ("PricingNodePrice", "PricingPodPrice", "NodeGroupTemplateNodeInfo", "NodeGroupGetOptions")
"""The methods that a provider may leave out, by UNIMPLEMENTED."""

_META = """\
ObjectMeta: string name 1, string generateName 2, string namespace 3, string uid 5, map labels 11, map annotations 12
KubeTime: int64 seconds 1, int32 nanos 2
KubeDuration: int64 duration 1
"""
_QUANTITY = """\
Quantity: string string 1
"""
_CORE = """\
Node: ObjectMeta metadata 1, NodeSpec spec 2, NodeStatus status 3
NodeSpec: string podCIDR 1, string providerID 3, bool unschedulable 4, Taint* taints 5
Taint: string key 1, string value 2, string effect 3, KubeTime timeAdded 4
NodeStatus: map[Quantity] capacity 1, map[Quantity] allocatable 2, string phase 3, NodeCondition* conditions 4, \
NodeAddress* addresses 5, NodeSystemInfo nodeInfo 7
NodeCondition: string type 1, string status 2, KubeTime lastHeartbeatTime 3, KubeTime lastTransitionTime 4, \
string reason 5, string message 6
NodeAddress: string type 1, string address 2
NodeSystemInfo: string kubeletVersion 7, string operatingSystem 9, string architecture 10
Pod: ObjectMeta metadata 1
Unknown: TypeMeta typeMeta 1, bytes raw 2, string contentEncoding 3, string contentType 4
TypeMeta: string apiVersion 1, string kind 2
"""
_PROVIDER = """\
NodeGroup: string id 1, int32 minSize 2, int32 maxSize 3, string debug 4
ExternalGrpcNode: string providerID 1, string name 2, map labels 3, map annotations 4
NodeGroupsRequest:
NodeGroupsResponse: NodeGroup* nodeGroups 1
NodeGroupForNodeRequest: ExternalGrpcNode node 1
NodeGroupForNodeResponse: NodeGroup nodeGroup 1
PricingNodePriceRequest: ExternalGrpcNode node 1, KubeTime startTime 2, KubeTime endTime 3, \
Timestamp startTimestamp 4, Timestamp endTimestamp 5
PricingNodePriceResponse: double price 1
PricingPodPriceRequest: Pod pod 1, KubeTime startTime 2, KubeTime endTime 3, bytes pod_bytes 4, \
Timestamp startTimestamp 5, Timestamp endTimestamp 6
PricingPodPriceResponse: double price 1
GPULabelRequest:
GPULabelResponse: string label 1
GetAvailableGPUTypesRequest:
GetAvailableGPUTypesResponse: map[Any] gpuTypes 1
CleanupRequest:
CleanupResponse:
RefreshRequest:
RefreshResponse:
NodeGroupTargetSizeRequest: string id 1
NodeGroupTargetSizeResponse: int32 targetSize 1
NodeGroupIncreaseSizeRequest: int32 delta 1, string id 2
NodeGroupIncreaseSizeResponse:
NodeGroupDeleteNodesRequest: ExternalGrpcNode* nodes 1, string id 2
NodeGroupDeleteNodesResponse:
NodeGroupDecreaseTargetSizeRequest: int32 delta 1, string id 2
NodeGroupDecreaseTargetSizeResponse:
NodeGroupNodesRequest: string id 1
NodeGroupNodesResponse: Instance* instances 1
Instance: string id 1, InstanceStatus status 2
InstanceStatus: InstanceState instanceState 1, InstanceErrorInfo errorInfo 2
InstanceErrorInfo: string errorCode 1, string errorMessage 2, int32 instanceErrorClass 3
NodeGroupTemplateNodeInfoRequest: string id 1
NodeGroupTemplateNodeInfoResponse: Node nodeInfo 1, bytes nodeBytes 2, bytes* resourceSliceBytes 3
NodeGroupAutoscalingOptions: double scaleDownUtilizationThreshold 1, double scaleDownGpuUtilizationThreshold 2, \
KubeDuration scaleDownUnneededTime 3, KubeDuration scaleDownUnreadyTime 4, KubeDuration MaxNodeProvisionTime 5, \
bool zeroOrMaxNodeScaling 6, bool ignoreDaemonSetsUtilization 7, Duration scaleDownUnneededDuration 8, \
Duration scaleDownUnreadyDuration 9, Duration MaxNodeProvisionDuration 10, Duration maxNodeStartupDuration 11, \
bool allowNonAtomicScaleUpToMax 12
NodeGroupAutoscalingOptionsRequest: string id 1, NodeGroupAutoscalingOptions defaults 2
NodeGroupAutoscalingOptionsResponse: NodeGroupAutoscalingOptions nodeGroupAutoscalingOptions 1
"""
MESSAGES = Messages(
    {"meta.v1": _META, "resource": _QUANTITY, "core.v1": _CORE, SERVICE.rpartition(".")[0]: _PROVIDER},
    {"InstanceState": ("unspecified", "instanceRunning", "instanceCreating", "instanceDeleting")},
)

_MAGIC = b"k8s\x00"


def enveloped(node: bytes) -> bytes:
    """Return a Node as an API server takes one in Protocol Buffers."""
    kind = {"apiVersion": "v1", "kind": "Node"}
    return _MAGIC + bytes(MESSAGES["Unknown"](typeMeta=kind, raw=node).SerializeToString())


def opened(body: bytes) -> bytes:
    """Return the object that an API server answered in Protocol Buffers."""
    assert body.startswith(_MAGIC), body[:80]
    return bytes(MESSAGES["Unknown"].FromString(body[len(_MAGIC) :]).raw)


def node(raw: bytes) -> Any:
    """Return the Node in ``raw``."""
    return MESSAGES["Node"].FromString(raw)
