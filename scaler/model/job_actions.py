"""What a job does: each action is one command of scaler's, with the options that a person would give."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scaler.model.base import Value
from scaler.model.durations import Seconds
from scaler.model.names import NodeName, Word
from scaler.model.paths import AbsolutePath


class Doing(Value):
    """An action; ``changes`` tells whether it may add or remove nodes."""

    do: str
    changes: ClassVar[bool] = False


class _Drains(Doing):
    """An action that may empty nodes, with drain's own words."""

    changes: ClassVar[bool] = True

    timeout: Seconds | None = None
    force: bool = False
    delete_emptydir_data: bool = False


class Scale(_Drains):
    """Bring the workers of a binary cluster, or a pool of any cluster, to a number.

    ``partial`` is of binary clusters, ``autoscaler`` and ``rollback`` are of managed ones.
    """

    do: Literal["scale"]
    workers: int | None = Field(default=None, ge=0)
    pool: Word | None = None
    to: int | None = Field(default=None, ge=0)
    partial: bool = False
    autoscaler: Literal["keep", "pin", "disable"] | None = None
    rollback: bool = False

    @model_validator(mode="after")
    def _one_thing_is_scaled(self) -> Scale:
        if (self.workers is None) == (self.pool is None):
            raise ValueError("say workers: N, or pool: NAME and to: N")
        if (self.pool is None) != (self.to is None):
            raise ValueError("pool: NAME and to: N go together")
        return self


class AddNode(Doing):
    """Add named hosts as workers."""

    changes: ClassVar[bool] = True

    do: Literal["add-node"]
    hosts: tuple[NodeName, ...] = Field(min_length=1)
    keep_going: bool = False


class RemoveNode(_Drains):
    """Take named workers away."""

    do: Literal["remove-node"]
    hosts: tuple[NodeName, ...] = Field(min_length=1)


class Verify(Doing):
    """Prove by running work that nodes work; without names, all."""

    do: Literal["verify"]
    hosts: tuple[NodeName, ...] = ()


class Look(Doing):
    """Tell how the cluster is."""

    do: Literal["status"]


class Snapshot(Doing):
    """Take a snapshot of etcd onto this machine, checked."""

    do: Literal["snapshot"]
    keep: int = Field(default=7, ge=1)
    directory: AbsolutePath | None = None


class Certs(Doing):
    """Fail where a certificate ends within so many days."""

    do: Literal["certs"]
    warn_days: int = Field(default=30, ge=1)


Action = Annotated[
    Scale | AddNode | RemoveNode | Verify | Look | Snapshot | Certs,
    Field(discriminator="do"),
]
