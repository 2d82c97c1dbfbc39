"""The live cluster as its API tells it; only the fields that decide something."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Told(BaseModel):
    """A value out of Kubernetes' JSON: frozen; what scaler does not need is left out, since the API grows."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Meta(Told):
    """metadata of an object."""

    name: str
    uid: str = ""
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    created: datetime | None = Field(default=None, alias="creationTimestamp")
    deleted: datetime | None = Field(default=None, alias="deletionTimestamp")


class Condition(Told):
    """One condition of a Node, Pod or CSR."""

    type: str
    status: str = "True"
    reason: str = ""
    message: str = ""
    heartbeat: datetime | None = Field(default=None, alias="lastHeartbeatTime")


class NodeAddress(Told):
    """One address of a Node."""

    type: str
    address: str


class NodeInfo(Told):
    """nodeInfo of a Node's status."""

    machine_id: str = Field(default="", alias="machineID")
    system_uuid: str = Field(default="", alias="systemUUID")
    kubelet_version: str = Field(default="", alias="kubeletVersion")
    runtime_version: str = Field(default="", alias="containerRuntimeVersion")


class Taint(Told):
    """One taint of a Node."""

    key: str = ""
    value: str = ""
    effect: str


class NodeSpec(Told):
    """spec of a Node."""

    pod_cidr: str | None = Field(default=None, alias="podCIDR")
    provider_id: str = Field(default="", alias="providerID")
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeStatus(Told):
    """status of a Node."""

    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    info: NodeInfo = Field(default=NodeInfo(), alias="nodeInfo")


class Node(Told):
    """A Node object."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def name(self) -> str:
        """The Node's name."""
        return self.metadata.name

    @property
    def ready(self) -> bool:
        """Tell whether the Ready condition is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def takes_pods(self) -> bool:
        """Tell whether a pod that tolerates nothing may be started here."""
        return (
            self.ready and not self.spec.unschedulable and all(t.effect == "PreferNoSchedule" for t in self.spec.taints)
        )

    @property
    def why_not_ready(self) -> str:
        """Return what the kubelet says about its Ready condition."""
        return next((c.message for c in self.status.conditions if c.type == "Ready"), "the kubelet has not reported")

    @property
    def heartbeat(self) -> datetime | None:
        """Return when the kubelet last told its Ready condition."""
        return next((c.heartbeat for c in self.status.conditions if c.type == "Ready"), None)

    @property
    def internal_ip(self) -> str:
        """Return the InternalIP, or an empty string before the kubelet has told it."""
        return next((a.address for a in self.status.addresses if a.type == "InternalIP"), "")


class CsrSpec(Told):
    """spec of a CertificateSigningRequest."""

    request: str
    signer: str = Field(default="", alias="signerName")
    username: str = ""
    groups: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()


class CsrStatus(Told):
    """status of a CertificateSigningRequest."""

    conditions: tuple[Condition, ...] = ()
    certificate: str = ""


class Csr(Told):
    """A CertificateSigningRequest."""

    metadata: Meta
    spec: CsrSpec
    status: CsrStatus = CsrStatus()

    @property
    def pending(self) -> bool:
        """Tell whether nobody has decided yet."""
        return not self.status.conditions


class ClusterState(Told):
    """What one look at the API saw."""

    server_version: str
    nodes: tuple[Node, ...]
    pending_csrs: tuple[str, ...] = ()

    def node(self, name: str) -> Node | None:
        """Return the Node called ``name``, if there is one."""
        return next((n for n in self.nodes if n.name == name), None)
