"""Pools of one's own machines: which of a binary cluster's workers belong together, and what their Nodes carry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from scaler.model.base import Value
from scaler.model.names import MAX_NAME, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scaler.model.state import Node

POOL_LABEL = "scaler.dev/pool"
ZONE_LABEL = "topology.kubernetes.io/zone"
# The rules of Kubernetes: a label's key is a domain and a name, its value a name or nothing.
_NAME = r"[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-.a-z0-9]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|[kMGTPE]|[KMGTPE]i)?")
_TAINT = re.compile(r"(?P<key>[^=:]+)(?:=(?P<value>[^:]*))?:(?P<effect>[A-Za-z]+)")
# What scaler writes itself, or what would make a worker something else.
_NOT_ONES_OWN = {
    "kubernetes.io/hostname": "it is the Node's name",
    ZONE_LABEL: "it comes from the host's failure_domain",
    "node-role.kubernetes.io/control-plane": "it makes a master",
    "node-role.kubernetes.io/master": "it makes a master",
}


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("is not a label's key, like example.com/disk or disk")
    return text


def _own_key(text: str) -> str:
    if text in _NOT_ONES_OWN:
        raise ValueError(f"is not a pool's to say: {_NOT_ONES_OWN[text]}")
    if text.startswith("scaler.dev/"):
        raise ValueError("is not a pool's to say: scaler.dev is scaler's own")
    return text


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError(f"is not a label's value (at most {MAX_NAME} letters, digits, '-', '_' and '.')")
    return text


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text):
        raise ValueError("is not a quantity, like 4, 500m or 16Gi")
    return text


def _text(value: object) -> object:
    """Take the number that YAML makes of ``cpu: 4`` for what was written."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Key = Annotated[str, AfterValidator(_key)]
LabelValue = Annotated[str, AfterValidator(_value)]
Quantity = Annotated[str, BeforeValidator(_text), AfterValidator(_quantity)]
# Both are also values of labels.
PoolName = Annotated[Word, AfterValidator(_value)]


class PoolTaint(Value):
    """One taint of a pool's Nodes; an inventory has it in kubectl's own words: ``dedicated=web:NoSchedule``."""

    key: Key
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

    @property
    def told(self) -> str:
        """Tell it as kubectl does."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


def _taint(value: object) -> object:
    if not isinstance(value, str):
        return value
    said = _TAINT.fullmatch(value)
    if not said:
        raise ValueError("is not a taint, like dedicated=web:NoSchedule")
    return {"key": said["key"], "value": said["value"] or "", "effect": said["effect"]}


class MachinePool(Value):
    """One pool: how many workers it may have, and what each of its Nodes carries.

    ``cpu`` and ``memory`` are what a machine of the pool has, for those who must know it before there is one; without
    them a Node of the pool tells.
    """

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=0)
    labels: dict[Annotated[Key, AfterValidator(_own_key)], Annotated[LabelValue, BeforeValidator(_text)]] = Field(
        default={}
    )
    taints: tuple[Annotated[PoolTaint, BeforeValidator(_taint)], ...] = ()
    cpu: Quantity | None = None
    memory: Quantity | None = None

    @model_validator(mode="after")
    def _in_order(self) -> MachinePool:
        if self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Carried(Value):
    """What a Node carries for the pool and the failure domain of its host."""

    labels: dict[str, str] = Field(default={})
    taints: tuple[PoolTaint, ...] = ()

    def missing(self, node: Node) -> list[str]:
        """Return what ``node`` has not got of it, as kubectl says it."""
        return [*self._labels(node), *self._taints(node)]

    def _labels(self, node: Node) -> Iterator[str]:
        for key, value in self.labels.items():
            if node.metadata.labels.get(key) != value:
                yield f"label {key}={value}"

    def _taints(self, node: Node) -> Iterator[str]:
        there = {(taint.key, taint.value, taint.effect) for taint in node.spec.taints}
        for taint in self.taints:
            if (taint.key, taint.value, taint.effect) not in there:
                yield f"taint {taint.told}"


def carried(pools: Mapping[str, MachinePool], pool: str | None, failure_domain: str | None) -> Carried:
    """Return what the Node of a worker of ``pool``, in ``failure_domain``, carries."""
    own = pools.get(pool or "", MachinePool())
    labels = {**({POOL_LABEL: pool} if pool else {}), **own.labels}
    if failure_domain:
        labels[ZONE_LABEL] = failure_domain
    return Carried(labels=labels, taints=own.taints)
