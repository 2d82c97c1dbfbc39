"""How pods get addresses and reach each other: what a node that joins needs for it, and what one that leaves leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from scaler.drivers import found
from scaler.errors import InputError
from scaler.gateways.etcd import Etcd
from scaler.gateways.kube import Kube
from scaler.gateways.ssh import Ssh
from scaler.model.facts import HostFacts
from scaler.model.inventory import Cluster, Host, Settings
from scaler.model.network import Network
from scaler.model.state import Node


@dataclass(frozen=True)
class Doors:
    """What a driver may use for one cluster."""

    cluster: Cluster
    kube: Kube
    ssh: Ssh
    etcd: Etcd


class Lacking(NamedTuple):
    """Why a node's network is not whole yet; where it is not ``fatal`` in the end, the node works all the same."""

    why: str
    fatal: bool = True


class Said(NamedTuple):
    """What speaks against a host that joins, and what to do about it; a warning does not refuse."""

    message: str
    remedy: str = ""
    warning: bool = False


class Cni(Protocol):
    """What a driver owes.

    ``roles`` are those of ours that put files on a node; with ``needs_pod_cidr`` the API must give a node its pod CIDR
    first. ``node_kinds`` are kinds of the API: of each the network keeps an object of the node's name, and does not
    delete it. What the cluster itself says is read anew each time, never guessed; every verb may be said twice.
    """

    roles: tuple[str, ...]
    needs_pod_cidr: bool
    node_kinds: tuple[str, ...]

    def brought_by_scaler(self, settings: Settings) -> bool:
        """Tell whether scaler itself places the network's daemons, so that a cluster's first node joins it too."""

    def read(self, doors: Doors) -> Network:
        """Return how the network is set up and what it needs of a host; raises PreflightError where it is not there."""

    def unfit(self, network: Network, host: Host, facts: HostFacts, nodes: Sequence[Node]) -> Iterator[Said]:
        """Tell what speaks against this very host, beyond what ``network.needs`` asks of all."""

    def may_leave(self, network: Network, names: Sequence[str], nodes: Sequence[Node]) -> str:
        """Say why these nodes may not all leave, empty where they may."""

    def join(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Make in the network's API what nodes that join need there; return the failures by host."""

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        """Return the hosts whose network is not ready on the node, and why: what a join is waited for and proven by."""

    def unjoin(self, doors: Doors, host: Host) -> None:
        """Take back what ``join`` made for ``host``."""

    def leave(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Take away what the network keeps for nodes that are gone; return what stays, by node, for a person."""


class Plain:
    """The answers of a network that has nothing to do where a driver says nothing else."""

    roles: tuple[str, ...] = ()
    needs_pod_cidr = False
    node_kinds: tuple[str, ...] = ()

    def brought_by_scaler(self, settings: Settings) -> bool:
        """Nothing of it is scaler's to place."""
        del settings
        return False

    def read(self, doors: Doors) -> Network:
        """Return a network that asks for nothing."""
        return Network(way=doors.cluster.settings.cni)

    def unfit(self, network: Network, host: Host, facts: HostFacts, nodes: Sequence[Node]) -> Iterator[Said]:
        """Nothing speaks against a host."""
        del network, host, facts, nodes
        yield from ()

    def may_leave(self, network: Network, names: Sequence[str], nodes: Sequence[Node]) -> str:
        """Every node may leave."""
        del network, names, nodes
        return ""

    def join(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Nothing is to be made."""
        del doors, hosts
        return {}

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        """Nothing is waited for: the proof of the join proves the network too."""
        del doors, hosts
        return {}

    def unjoin(self, doors: Doors, host: Host) -> None:
        """Nothing was made."""

    def leave(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Nothing is kept."""
        del doors, hosts
        return {}


def of(name: str) -> Cni:
    """Return the driver called ``name``; raises InputError where there is none."""
    drivers: dict[str, Cni] = found("cni")
    if name not in drivers:
        raise InputError(f"cni: there is no driver {name!r}", hint=f"one of {', '.join(drivers)}")
    return drivers[name]
