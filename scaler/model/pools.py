"""Node pools of a managed cluster: what is there, what is wanted, and what a cloud is doing about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from scaler.model.base import Value
from scaler.model.clouds import CloudId

State = Literal["ready", "changing", "degraded", "failed", "deleting"]
Cause = Literal["cloud", "quota", "sold-out", "conflict", "credentials"]
Change = Literal["set-size", "set-autoscaling", "create", "delete", "remove-instances", "add-masters", "remove-masters"]


class Trouble(Value):
    """Something that a cloud says is wrong, with its own code; ``what`` is an instance, a zone or a machine type."""

    what: str = ""
    code: str = ""
    message: str

    @property
    def sentence(self) -> str:
        """Tell a person."""
        told = f"{self.what}: {self.message}" if self.what else self.message
        return f"{told} ({self.code})" if self.code else told


class Autoscaling(Value):
    """Between which sizes an autoscaler moves a pool; ``on`` is False where it is to keep its hands off."""

    on: bool
    min: int = Field(ge=0)
    max: int = Field(ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Autoscaling:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Pool(Value):
    """A node pool, as one read of the cloud's API saw it.

    All numbers count the nodes of the whole pool, over all zones. ``target`` is the size that the cloud was asked for,
    ``actual`` the number of instances that it counts for the pool, also those that start or leave, not those that
    failed. ``min`` and ``max`` are bounds that hold for ``target``, None where the cloud has none. ``autoscaled`` tells
    that an autoscaler changes the target by itself. ``state`` is ``ready`` where a change would be taken now,
    ``changing`` where the cloud is at work, ``degraded`` where it takes changes though something is wrong; ``told`` is
    the cloud's own word for it. ``id`` is what its API calls the pool and ``name`` what people do; both are one thing
    where it has no IDs. Nodes of the pool have the label ``label`` with ``value``. ``etag`` is the version that a write
    is bound to, where the cloud has one. ``per_zone`` tells that ``target`` is a multiple of the number of ``zones``.
    ``troubles`` are what it says is wrong now.
    """

    id: CloudId
    name: str
    target: int = Field(ge=0)
    actual: int = Field(ge=0)
    min: int | None = None
    max: int | None = None
    autoscaled: bool = False
    state: State
    told: str = ""
    zones: tuple[str, ...] = ()
    per_zone: bool = False
    machine: str = ""
    label: str
    value: str
    etag: str = ""
    troubles: tuple[Trouble, ...] = ()

    def has(self, wanted: Autoscaling) -> bool:
        """Tell whether bounds and autoscaler are so; a pool without bounds has no autoscaler, whatever they were."""
        if self.max is None and not wanted.on:
            return not self.autoscaled
        return (self.autoscaled, self.min or 0, self.max) == (wanted.on, wanted.min, wanted.max)


class Instance(Value):
    """One machine of a pool, or a master.

    ``id`` is what the cloud's API takes to remove it. ``provider_id`` is the ``spec.providerID`` of its Node, or the
    end of it from a '/' or '.' on where the API does not tell the rest; ``node`` is its Node's name where the API tells
    that. ``failed`` are those that never became nodes; ``reason`` says why.
    """

    id: str
    provider_id: str = ""
    node: str = ""
    state: Literal["running", "starting", "leaving", "failed"]
    zone: str = ""
    reason: Trouble | None = None

    def is_node(self, name: str, provider_id: str) -> bool:
        """Tell whether the Node of that name and ``spec.providerID`` is this machine."""
        ours, theirs = self.provider_id.lower(), provider_id.lower()
        if ours and theirs:
            return theirs.endswith(ours) if ours.startswith(("/", ".")) else theirs == ours
        return bool(self.node) and self.node == name


class Operation(Value):
    """One change that a cloud was asked for; a journal keeps it, and a later process polls it.

    ``id`` is the cloud's own handle, empty where it has none or its answer was lost: the change is then done when the
    pool is as wanted. ``pool`` is the pool's ID, or its name before it has one. ``target`` is the size wanted in the
    end, ``instances`` the IDs of those that leave. ``request`` is the ID of the request that began it. ``troubles``
    were told in the very answer to it. ``more`` is the driver's own: what it needs to poll.
    """

    change: Change
    id: str = ""
    pool: str = ""
    target: int | None = None
    instances: tuple[str, ...] = ()
    started: datetime
    request: str = ""
    troubles: tuple[Trouble, ...] = ()
    more: dict[str, str] = Field(default={})


class Progress(Value):
    """What has come of an operation: ``partial`` and ``failed`` are ends, as ``done`` is.

    ``cause`` is the kind of error (of ``scaler.errors``) that a failure is: quota, sold-out, conflict, cloud.
    ``troubles`` are the reasons, one an instance or zone where the cloud tells that. ``told`` is for people who watch.
    """

    state: Literal["running", "done", "partial", "failed"]
    told: str = ""
    cause: Cause | Literal[""] = ""
    troubles: tuple[Trouble, ...] = ()


class PoolSpec(Value):
    """A pool that is to be made like another one, which gives all that is not said here."""

    name: CloudId
    size: int = Field(ge=0)
    autoscaling: Autoscaling | None = None

    def bounds_like(self, like: Pool) -> Autoscaling:
        """Return the new pool's bounds: those that are said, else those of ``like``, wide enough for the size."""
        least, most = min(like.min or 0, self.size), max(like.max or 0, self.size)
        return self.autoscaling or Autoscaling(on=like.autoscaled, min=least, max=most)
