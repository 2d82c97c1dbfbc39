"""What must hold before a host is touched: each check looks at facts only, and tells the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from scaler.checks import found
from scaler.model.base import Value
from scaler.model.facts import HostFacts
from scaler.model.inventory import Cluster, Host
from scaler.model.network import Network
from scaler.model.proxy import Living
from scaler.model.state import ClusterState


class Finding(Value):
    """Something that must not be, on which host, and what to do about it; a warning does not refuse."""

    check: str
    host: str
    message: str
    remedy: str = ""
    warning: bool = False


class Subject(NamedTuple):
    """One host under examination, and all it is compared with; ``living`` is how Services are forwarded there."""

    host: Host
    facts: HostFacts
    clock: tuple[float, float]
    cluster: Cluster
    state: ClusterState
    others: tuple[tuple[Host, HostFacts], ...]
    ca_digest: str
    becomes: Literal["workers", "masters", "etcd"] = "workers"
    network: Network = Network()
    living: Living = Living()

    @property
    def has_member(self) -> bool:
        """Tell whether a member of etcd will run on the host."""
        return self.becomes == "etcd" or (self.becomes == "masters" and self.cluster.own_etcd)

    @property
    def ours(self) -> bool:
        """Tell whether an earlier run of scaler placed this very node here and did not finish."""
        claim = self.facts.receipt
        return claim.get("node") == self.host.name and claim.get("ca") == self.ca_digest


class Told(NamedTuple):
    """A finding as a check writes it; the host and the check's name are added by the caller."""

    message: str
    remedy: str = ""
    warning: bool = False


class Check(NamedTuple):
    """A check of one host; ``of_nodes`` says that it means nothing to a host of etcd's own."""

    name: str
    look: Callable[[Subject], Iterable[Told]]
    of_nodes: bool = False


def examine(subject: Subject) -> list[Finding]:
    """Return all findings of all checks about ``subject``."""
    return [
        Finding(
            check=check.name, host=subject.host.name, message=told.message, remedy=told.remedy, warning=told.warning
        )
        for check in found("preflight")
        if not (check.of_nodes and subject.becomes == "etcd")
        for told in check.look(subject)
    ]
