"""A plan for pools of a managed cluster: the same steps, journal and engine, and what the cloud is to be asked for."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from scaler.model.base import Value
from scaler.model.inventory import Subject
from scaler.model.pools import Autoscaling, Operation, PoolSpec
from scaler.plan.plan import AnyPlan

Autoscaler = Literal["", "keep", "pin", "disable"]


class Unit(Subject):
    """A pool, a Node, or a machine by its ID: what one step of a plan for a cloud is for."""

    what: Literal["pool", "node", "machine"]
    id: str = ""

    @property
    def told(self) -> str:
        """Tell a person what it is."""
        return f"{self.what} {self.name}" + (f" ({self.id})" if self.id not in {"", self.name} else "")


class Machine(Value):
    """The instance behind a Node that leaves, and its pool."""

    pool: str
    instance: str


class Verify(Value):
    """Which of a pool's Nodes pass the checks of a join in the end: those that come, or all where none does.

    ``before`` are the UIDs of those that were Ready when this was planned, and are not among those that come.
    """

    which: Literal["new", "all"]
    before: tuple[str, ...] = ()


class Wants(Value):
    """What a cloud is asked for; only what the change is about is set.

    ``size`` is absolute, ``before`` the target that the plan saw, and ``had`` the one before the first run of this
    change, which a rollback goes back to. ``begun`` is the operation of an earlier run that this one goes on with.
    ``there`` are the UIDs, by name, of the pool's Nodes as this change began, None where nobody looked: by them is told
    which came and went. ``verify`` says whose work is proven. ``machines`` are the instances that leave, by Node;
    ``sizes`` what is left of each pool then.
    """

    pool: str = ""
    size: int | None = None
    before: int | None = None
    had: int | None = None
    autoscaling: Autoscaling | None = None
    autoscaler: Autoscaler = ""
    spec: PoolSpec | None = None
    masters: int | None = None
    begun: Operation | None = None
    there: dict[str, str] | None = None
    verify: Verify | None = None
    machines: dict[str, Machine] = Field(default={})
    sizes: dict[str, int] = Field(default={})


class PoolPlan(AnyPlan):
    """What one run will ask a cloud for."""

    hosts: tuple[Unit, ...]
    wants: Wants
    # Machines that a cloud has ended do not come back, and those that it made are work's by now.
    can_roll_back: ClassVar[bool] = False

    def since(self, there: dict[str, str] | None) -> PoolPlan:
        """Return this plan as that of a change that began with these Nodes."""
        return self.model_copy(update={"wants": self.wants.model_copy(update={"there": there})})
