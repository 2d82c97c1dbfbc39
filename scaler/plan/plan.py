"""A plan is data: it is printed, journalled, compared and run, and it is the same thing each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from scaler.model.base import Value
from scaler.model.inventory import Host, Subject
from scaler.model.names import NodeName
from scaler.plan.pods import Leaving
from scaler.plan.standby import Sizing

if TYPE_CHECKING:
    from collections.abc import Iterable


class StepSpec(Value):
    """One step of a plan: its name (a module of ``scaler.steps``) and the hosts it is for."""

    step: str
    hosts: tuple[str, ...]


class Drain(Value):
    """How pods are moved off a node, with kubectl's own words; ``timeout`` in seconds.

    ``keep_cordon`` leaves a node that could not be drained closed.
    """

    timeout: int = Field(default=300, ge=1)
    force: bool = False
    delete_emptydir_data: bool = False
    ignore_daemonsets: bool = False
    keep_cordon: bool = False


class Living(Value):
    """What the cluster that lives decides for those that join or leave.

    ``follows`` are variables of the roles that a new node takes from the old ones; ``works`` says that the network has
    something to make, or to take away, in its own API, or a proof of its own.
    """

    follows: dict[str, str] = Field(default={})
    works: bool = False


class Seen(Value):
    """A host as the plan saw it: what has another uid or machine ID since is another one's, and is left alone.

    A host whose Node is gone has no ``uid``, a dead one none but its Node's ``machine_id``.
    """

    uid: str = ""
    machine_id: str = ""


class AnyPlan(Value):
    """What one run will do, in order, on hosts or in a cloud: what the engine, the journal and the views know.

    ``on_failure`` says what a host's failure means: with ``isolate`` it is given back and the others go on, with
    ``undo`` it is given back and the run ends, with ``undo-all`` all are and it ends, with ``stop`` it ends. ``seen``
    proves that a host that leaves is still the same; ``pods`` are those that its leaving moves or ends. ``dead`` are
    those of ``hosts`` that were proven to be gone; no step ever contacts them. ``without_api`` is of a change made
    where no API answers: nobody can hold a Lease there. ``resumes`` and ``rolls_back`` name the earlier run that this
    one goes on with, or takes back.
    """

    change: str
    cluster: str
    hosts: tuple[Subject, ...]
    steps: tuple[StepSpec, ...]
    present: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    untouched: str = ""
    on_failure: Literal["isolate", "undo", "undo-all", "stop"] = "isolate"
    leaves: str = ""
    joins: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    without_api: bool = False
    drain: Drain | None = None
    resumes: str = ""
    rolls_back: str = ""
    seen: dict[str, Seen] = Field(default={})
    pods: tuple[Leaving, ...] = ()
    # Whether `scaler runs rollback` takes such a run back.
    can_roll_back: ClassVar[bool] = True

    def next_moves(self, run: str) -> str:
        """Return what an operator may do about the unfinished ``run`` of this plan."""
        resume = f"scaler runs resume {run}"
        return f"{resume}, or scaler runs rollback {run}" if self.can_roll_back else resume

    def aim(self, name: str) -> tuple[str, ...]:
        """Return what becomes of the host called ``name``: a later plan with the same aim goes on with this one."""
        del name
        return (self.change,)

    def goes_nowhere(self, name: str) -> bool:
        """Tell whether the host called ``name`` neither comes in nor goes out by this plan."""
        del name
        return False

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.steps

    def named(self, name: str) -> Subject:
        """Return what is called ``name``."""
        return next(host for host in self.hosts if host.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return self.model_dump(mode="json")


class Plan(AnyPlan):
    """What one run will do to hosts.

    ``makes`` is the group that hosts come into, empty where they stay in theirs; ``leaves`` the one that they go out
    of, in a plan that takes hosts away; ``joins`` are those of ``hosts`` that come in all the same, in a plan that
    replaces one by another. ``allow_even`` is the operator's own word; ``follows`` are variables that new nodes take
    from those that live. With ``to_standby`` hosts that leave wait for work again, and keep what they need for it.
    ``sizing`` is the number that was asked for, where no hosts were named.
    """

    hosts: tuple[Host, ...]
    present: tuple[NodeName, ...] = ()
    makes: Literal["", "workers", "masters", "etcd"] = "workers"
    leaves: Literal["", "workers", "masters", "etcd"] = ""
    joins: tuple[NodeName, ...] = ()
    dead: tuple[NodeName, ...] = ()
    allow_even: bool = False
    follows: dict[str, str] = Field(default={})
    to_standby: bool = False
    sizing: Sizing | None = None
    seen: dict[NodeName, Seen] = Field(default={})

    def host(self, name: str) -> Host:
        """Return the host called ``name``."""
        return next(host for host in self.hosts if host.name == name)

    def aim(self, name: str) -> tuple[str, ...]:
        """Return what becomes of the host called ``name``; at another address it is another one.

        One that died meanwhile leaves by other steps.
        """
        address = str(self.host(name).address)
        if self.leaves and name not in self.joins:
            return ("leaves", self.leaves, address, "dead" if name in self.dead else "living")
        return ("joins", self.makes, address)

    def goes_nowhere(self, name: str) -> bool:
        """Tell whether the host called ``name`` neither comes in nor goes out by this plan."""
        return not self.leaves and not self.makes and any(host.name == name for host in self.hosts)

    def leaving(self, hosts: Iterable[Host]) -> list[Host]:
        """Return those of ``hosts`` that go away by this plan."""
        return [host for host in hosts if self.leaves and host.name not in self.joins]

    def living(self, hosts: Iterable[Host]) -> list[Host]:
        """Return those of ``hosts`` that may be contacted."""
        return [host for host in hosts if host.name not in self.dead]
