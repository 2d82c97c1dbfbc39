"""Node groups as the Cluster Autoscaler sees them: pools of one's own machines, and what was asked for and not done."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Literal

from pydantic import Field

from scaler.model.base import Value
from scaler.model.inventory import Cluster
from scaler.model.state import Node

SCHEME = "scaler://"

State = Literal["running", "creating", "deleting"]
Verb = Literal["add-node", "remove-node"]


class World(Value):
    """One look at the inventory and the Nodes, and when it was."""

    cluster: Cluster
    nodes: tuple[Node, ...] = ()
    at: datetime

    def node(self, name: str) -> Node | None:
        """Return the Node called ``name``, if there is one."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, Node]:
        # The autoscaler asks for the group of each Node, and each answer looks for each host's.
        return {node.name: node for node in self.nodes}

    def id_of(self, host: str) -> str:
        """Return the machine's ID: that of its Node where it has one, else the one that scaler gives it."""
        node = self.node(host)
        return (node.spec.provider_id if node else "") or f"{SCHEME}{self.cluster.name}/{host}"


class Wish(Value):
    """A machine that is to come into its group, or to go ``out`` of it.

    One that did not come has ``error`` and its ``code``, and waits for the autoscaler to take it back. One that no host
    was there for is ``short``: its name is nobody's. ``alone`` tells that it failed with others and is tried by itself,
    ``not_before`` when it is tried again.
    """

    host: str
    group: str
    out: bool = False
    since: datetime
    code: str = ""
    error: str = ""
    short: bool = False
    alone: bool = False
    tries: int = 0
    not_before: datetime | None = None


class Batch(Value):
    """The one run that goes on, or went on when the server was killed."""

    verb: Verb
    hosts: tuple[str, ...]
    began: datetime


class Trouble(Value):
    """A host that failed lately: how often in a row, why, and until when it is left alone."""

    times: int = Field(ge=1)
    why: str
    until: datetime


class Ledger(Value):
    """What the server must not forget: it is on the disk before anybody is told yes."""

    version: Literal[1] = 1
    wishes: tuple[Wish, ...] = ()
    batch: Batch | None = None
    troubles: dict[str, Trouble] = Field(default={})
    missed: int = Field(default=0, ge=0)

    def wish(self, host: str) -> Wish | None:
        """Return what is wished of ``host``."""
        return next((wish for wish in self.wishes if wish.host == host), None)

    def goes(self, host: str) -> bool:
        """Tell whether the run that goes on is about ``host``."""
        return self.batch is not None and host in self.batch.hosts


class Instance(Value):
    """One machine of a group, as the autoscaler is told of it."""

    id: str
    host: str
    state: State
    code: str = ""
    error: str = ""
    short: bool = False


class Named(Value):
    """A Node as the autoscaler names it; for a machine that has none, both are the machine's ID."""

    id: str = ""
    name: str = ""


class Ended(Value):
    """How a run ended: its exit code, what it said of each host, and of all of them."""

    exit_code: int
    failed: dict[str, str] = Field(default={})
    kind: str = ""
    message: str = ""
