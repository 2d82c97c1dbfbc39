"""A plan is data: it is printed, journalled, compared and run, and it is the same thing each time."""

from __future__ import annotations

from typing import Any, Literal

from scaler.model.base import Value
from scaler.model.inventory import Host
from scaler.model.names import NodeName


class StepSpec(Value):
    """One step of a plan: its name (a module of ``scaler.steps``) and the hosts it is for."""

    step: str
    hosts: tuple[NodeName, ...]


class Plan(Value):
    """What one run will do, in order.

    ``on_failure`` says what a host's failure means: with ``isolate`` it is given back and the others go on, with
    ``undo`` it is given back and the run ends, with ``stop`` the run ends. ``makes`` is the group that hosts come into.
    """

    change: str
    cluster: str
    hosts: tuple[Host, ...]
    steps: tuple[StepSpec, ...]
    present: tuple[NodeName, ...] = ()
    warnings: tuple[str, ...] = ()
    untouched: str = ""
    on_failure: Literal["isolate", "undo", "stop"] = "isolate"
    makes: Literal["workers", "masters", "etcd"] = "workers"

    def host(self, name: str) -> Host:
        """Return the host called ``name``."""
        return next(host for host in self.hosts if host.name == name)

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.steps

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return self.model_dump(mode="json")
