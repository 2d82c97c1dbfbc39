"""Pods, the volumes they hold and the budgets that guard them, as the API tells them; only what a drain asks for."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads it
from typing import Any

from pydantic import Field

from scaler.model.state import Condition, Meta, Told

HOSTNAME = "kubernetes.io/hostname"
MIRROR = "kubernetes.io/config.mirror"


class Owner(Told):
    """One of an object's owners."""

    kind: str
    name: str
    uid: str = ""
    controller: bool = False


class PodMeta(Meta):
    """metadata of a Pod."""

    namespace: str = "default"
    owners: tuple[Owner, ...] = Field(default=(), alias="ownerReferences")
    deleted: datetime | None = Field(default=None, alias="deletionTimestamp")


class Claimed(Told):
    """A volume's claim."""

    name: str = Field(alias="claimName")


class Volume(Told):
    """One volume of a Pod; which of its kinds it is shows by what is set."""

    name: str
    empty_dir: dict[str, Any] | None = Field(default=None, alias="emptyDir")
    host_path: dict[str, Any] | None = Field(default=None, alias="hostPath")
    claim: Claimed | None = Field(default=None, alias="persistentVolumeClaim")


class PodSpec(Told):
    """spec of a Pod."""

    node: str = Field(default="", alias="nodeName")
    volumes: tuple[Volume, ...] = ()


class PodStatus(Told):
    """status of a Pod."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()


class Pod(Told):
    """A Pod."""

    metadata: PodMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def key(self) -> str:
        """Return NAMESPACE/NAME."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def ready(self) -> bool:
        """Tell whether the Ready condition is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def owner(self) -> Owner | None:
        """Return the controller that would make it anew, None for a bare pod."""
        return next((each for each in self.metadata.owners if each.controller), None)

    @property
    def mirror(self) -> bool:
        """Tell whether a kubelet made it from a file of its own."""
        return MIRROR in self.metadata.annotations

    @property
    def finished(self) -> bool:
        """Tell whether all its work is done."""
        return self.status.phase in {"Succeeded", "Failed"}


class Expression(Told):
    """One demand of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: dict[str, str]) -> bool:
        """Tell whether ``labels`` fulfil it."""
        value = labels.get(self.key)
        return {
            "In": value in self.values,
            "NotIn": value not in self.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(self.operator, False)


class Selector(Told):
    """A label selector."""

    labels: dict[str, str] = Field(default={}, alias="matchLabels")
    expressions: tuple[Expression, ...] = Field(default=(), alias="matchExpressions")

    def selects(self, labels: dict[str, str]) -> bool:
        """Tell whether something with ``labels`` is selected."""
        named = all(labels.get(key) == value for key, value in self.labels.items())
        return named and all(each.holds(labels) for each in self.expressions)


class BudgetSpec(Told):
    """spec of a PodDisruptionBudget."""

    selector: Selector | None = None


class BudgetStatus(Told):
    """status of a PodDisruptionBudget."""

    allowed: int = Field(default=0, alias="disruptionsAllowed")
    healthy: int = Field(default=0, alias="currentHealthy")
    desired: int = Field(default=0, alias="desiredHealthy")


class Budget(Told):
    """A PodDisruptionBudget."""

    metadata: PodMeta
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()

    @property
    def told(self) -> str:
        """Return its name, and what it wants and has."""
        return (
            f"PodDisruptionBudget {self.metadata.namespace}/{self.metadata.name} "
            f"({self.status.healthy} healthy, {self.status.desired} wanted)"
        )

    def guards(self, pod: Pod) -> bool:
        """Tell whether ``pod`` is one of those it is about."""
        if self.metadata.namespace != pod.metadata.namespace or self.spec.selector is None:
            return False
        return self.spec.selector.selects(pod.metadata.labels)


class Claim(Told):
    """Whose a PersistentVolume is."""

    name: str = ""
    namespace: str = ""


class PersistentVolumeSpec(Told):
    """spec of a PersistentVolume."""

    claim: Claim | None = Field(default=None, alias="claimRef")
    local: dict[str, Any] | None = None
    affinity: dict[str, Any] = Field(default={}, alias="nodeAffinity")


class PersistentVolume(Told):
    """A PersistentVolume."""

    metadata: Meta
    spec: PersistentVolumeSpec = PersistentVolumeSpec()

    @property
    def tied(self) -> bool:
        """Tell whether it is on one node and cannot be had from another."""
        terms = self.spec.affinity.get("required", {}).get("nodeSelectorTerms", [])
        keys = {each.get("key") for term in terms for each in term.get("matchExpressions", [])}
        return self.spec.local is not None or HOSTNAME in keys


class AttachmentSource(Told):
    """What is attached."""

    volume: str = Field(default="", alias="persistentVolumeName")


class AttachmentSpec(Told):
    """spec of a VolumeAttachment."""

    node: str = Field(default="", alias="nodeName")
    source: AttachmentSource = AttachmentSource()


class Attachment(Told):
    """A VolumeAttachment."""

    metadata: Meta
    spec: AttachmentSpec = AttachmentSpec()
