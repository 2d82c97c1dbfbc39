"""The Cluster Autoscaler's side of its cloud provider ``externalgrpc``: what it asks, in its order, what it keeps.

Written from the published description alone, so that no misreading of it can stand on both sides. ``Autoscaler`` asks
as one of a generation does and reads what that one reads; ``look`` is one turn of its main loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import grpc

from tests.clients.externalgrpc_generations import Generation, Options, read, written
from tests.clients.externalgrpc_wire import MESSAGES, METHODS, SERVICE, node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

PATIENCE_SECONDS = 5.0
"""How long the autoscaler waits for an answer, where its ``grpc_timeout`` does not say otherwise."""
WHY_FAKE = "k8s.io/cluster-autoscaler/fake-node-reason"
UNREGISTERED, CREATE_ERROR = "unregistered", "create-error"
OUT_OF_RESOURCES, OTHER = 1, 99


@dataclass(frozen=True)
class KubeNode:
    """What the autoscaler tells of a Node of the cluster."""

    name: str
    provider_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        return {
            "providerID": self.provider_id,
            "name": self.name,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
        }


@dataclass(frozen=True)
class Group:
    """A node group as it was told at the last refresh."""

    id: str
    min: int
    max: int
    debug: str = ""


@dataclass(frozen=True)
class Instance:
    """One machine of a group."""

    id: str
    state: str
    code: str = ""
    message: str = ""
    klass: int = 0

    @property
    def to_register(self) -> bool:
        """Tell whether the autoscaler waits for its Node."""
        return self.state != "deleting" and not self.code

    @property
    def failed(self) -> bool:
        """Tell whether the autoscaler backs off from the group and deletes the instance."""
        return self.state == "creating" and bool(self.code)

    def fake(self, why: str) -> KubeNode:
        """Return the Node that the autoscaler makes up for an instance that has none."""
        return KubeNode(self.id, self.id, annotations={WHY_FAKE: why})


@dataclass(frozen=True)
class Seen:
    """What one turn of the main loop found."""

    groups: dict[str, Group]
    targets: dict[str, int]
    instances: dict[str, list[Instance]]
    templates: dict[str, Any]
    options: dict[str, Options]
    group_of: dict[str, str]
    """By name of the Node; the group's ID, or nothing."""
    unregistered: dict[str, list[Instance]]
    """Machines for whose Node the autoscaler waits; those that wait too long it deletes."""

    def failed(self, group: str) -> list[Instance]:
        return [one for one in self.instances[group] if one.failed]


class Calls:
    """The service's methods over one channel, each with the autoscaler's patience."""

    def __init__(self, channel: grpc.Channel, seconds: float) -> None:
        self._channel, self.seconds = channel, seconds
        self.made: list[str] = []

    def begin(self, method: str, **fields: Any) -> Any:
        """Send a request and return the call that is under way."""
        request, answer = METHODS[method]
        self.made.append(method)
        call: Any = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=MESSAGES[answer].FromString,
        )
        return call.future(MESSAGES[request](**fields), timeout=self.seconds)

    def __call__(self, method: str, **fields: Any) -> Any:
        """Send a request and return the answer; raises ``grpc.RpcError``."""
        return self.begin(method, **fields).result()

    def raw(self, path: str, body: bytes = b"") -> bytes:
        """Send any bytes to any method."""
        call: Any = self._channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        return bytes(call(body, timeout=self.seconds))


class Autoscaler:
    """A Cluster Autoscaler that somebody else thinks for; it caches what the real one caches."""

    def __init__(
        self, channel: grpc.Channel, generation: Generation = Generation.NEW, seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.channel, self.generation = channel, generation
        self.calls = Calls(channel, seconds)
        self._groups: list[Group] | None = None
        self._group_of: dict[str, Group] = {}
        self._templates: dict[str, Any] = {}
        self._label: str | None = None
        self._types: set[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def refresh(self) -> None:
        """Forget the groups and say ``Refresh``, as at the start of each turn."""
        self._groups, self._group_of = None, {}
        self._templates = {}  # they live as long as the groups, and new groups are made
        self.calls("Refresh")

    def fresh(self) -> Self:
        """Return itself, refreshed."""
        self.refresh()
        return self

    def groups(self) -> list[Group]:
        if self._groups is None:
            self._groups = [_group(told) for told in self.calls("NodeGroups").nodeGroups]
        return self._groups

    def group(self, name: str) -> Group:
        return next(group for group in self.groups() if group.id == name)

    def group_of(self, node: KubeNode) -> Group | None:
        """Return the group of a Node; None is kept by nobody, so it is asked for each time."""
        key = node.name + node.provider_id
        if key not in self._group_of:
            told = self.calls("NodeGroupForNode", node=node.told()).nodeGroup
            if not told.id:
                return None
            self._group_of[key] = _group(told)
        return self._group_of[key]

    def target(self, group: str) -> int:
        return int(self.calls("NodeGroupTargetSize", id=group).targetSize)

    def instances(self, group: str) -> list[Instance]:
        return [_instance(told) for told in self.calls("NodeGroupNodes", id=group).instances]

    def template(self, group: str) -> Any:
        """Return the Node that a new machine of the group will be, or None where the provider does not say."""
        if group not in self._templates:
            self._templates[group] = self._optional("NodeGroupTemplateNodeInfo", self._read_template, id=group)
        return self._templates[group]

    def options(self, group: str, defaults: Options | None = None) -> Options | None:
        """Return what the provider says of the group, or None where it does not: then the defaults hold."""
        sent = written(self.generation, defaults or Options())
        told: Options | None = self._optional(
            "NodeGroupGetOptions", lambda answer: read(self.generation, answer), id=group, defaults=sent
        )
        return told

    def increase(self, group: str, delta: int) -> None:
        self.calls("NodeGroupIncreaseSize", id=group, delta=delta)

    def decrease(self, group: str, delta: int) -> None:
        """Take back what has not come; ``delta`` is negative."""
        self.calls("NodeGroupDecreaseTargetSize", id=group, delta=delta)

    def delete(self, group: str, nodes: Iterable[KubeNode]) -> None:
        self.calls("NodeGroupDeleteNodes", id=group, nodes=[node.told() for node in nodes])

    def node_price(self, node: KubeNode, begin: int, end: int) -> float | None:
        """Return the price of a Node from ``begin`` to ``end``, seconds since the epoch, or None."""
        price: float | None = self._optional("PricingNodePrice", _price, node=node.told(), **self._period(begin, end))
        return price

    def pod_price(self, name: str, begin: int, end: int) -> float | None:
        pod = MESSAGES["Pod"](metadata={"name": name})
        told: dict[str, Any] = {"pod": pod} if self.generation.writes_kubernetes else {}
        if self.generation.writes_plain:
            told["pod_bytes"] = pod.SerializeToString()
        price: float | None = self._optional("PricingPodPrice", _price, **told, **self._period(begin, end))
        return price

    def gpu_label(self) -> str:
        """Return the label; the first answer counts for ever."""
        if self._label is None:
            self._label = str(self.calls("GPULabel").label)
        return self._label

    def gpu_types(self) -> set[str]:
        """Return the types; the first answer counts for ever."""
        if self._types is None:
            self._types = set(self.calls("GetAvailableGPUTypes").gpuTypes)
        return self._types

    def cleanup(self) -> None:
        self.calls("Cleanup")

    def look(self, nodes: Sequence[KubeNode] = ()) -> Seen:
        """Do what one turn of the main loop does before it decides."""
        self.refresh()
        groups = {group.id: group for group in self.groups()}
        instances = {name: self.instances(name) for name in groups}
        there = {node.provider_id for node in nodes}
        found = {node.name: self.group_of(node) for node in nodes}
        return Seen(
            groups,
            {name: self.target(name) for name in groups},
            instances,
            {name: self.template(name) for name in groups},
            {name: self.options(name) or Options() for name in groups},
            {name: group.id if group else "" for name, group in found.items()},
            {
                name: [one for one in machines if one.to_register and one.id not in there]
                for name, machines in instances.items()
            },
        )

    def delete_failed(self, seen: Seen) -> None:
        """Delete what did not come, as the main loop does each turn, whatever the group's min is."""
        for name in seen.groups:
            if failed := seen.failed(name):
                self.delete(name, [one.fake(CREATE_ERROR) for one in failed])

    def _optional(self, method: str, read: Any, **fields: Any) -> Any:
        try:
            return read(self.calls(method, **fields))
        except grpc.RpcError as e:
            if e.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise

    def _period(self, begin: int, end: int) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.generation.writes_kubernetes:
            told |= {"startTime": {"seconds": begin}, "endTime": {"seconds": end}}
        if self.generation.writes_plain:
            told |= {"startTimestamp": {"seconds": begin}, "endTimestamp": {"seconds": end}}
        return told

    def _read_template(self, answer: Any) -> Any:
        if self.generation.writes_plain and answer.nodeBytes:
            return node(answer.nodeBytes)
        if self.generation.writes_kubernetes and answer.HasField("nodeInfo"):
            return answer.nodeInfo
        return None


_STATES = ("unspecified", "running", "creating", "deleting")


def _group(told: Any) -> Group:
    return Group(told.id, told.minSize, told.maxSize, told.debug)


def _instance(told: Any) -> Instance:
    error = told.status.errorInfo
    return Instance(
        told.id,
        _STATES[told.status.instanceState],
        error.errorCode,
        error.errorMessage,
        error.instanceErrorClass,
    )


def _price(answer: Any) -> float:
    return float(answer.price)


def quantities(told: Mapping[str, Any]) -> dict[str, str]:
    """Return resources as Kubernetes writes them."""
    return {name: quantity.string for name, quantity in told.items()}


def taints(told: Any) -> set[str]:
    """Return a Node's taints in kubectl's words."""
    return {f"{taint.key}={taint.value}:{taint.effect}" for taint in told.spec.taints}
