"""Calico's objects as values, read from the API's kinds or out of etcd, whichever is its datastore."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from scaler.gateways.kube import nodes as read_nodes
from scaler.model.network import Network
from scaler.model.state import Told

if TYPE_CHECKING:
    from scaler.gateways.etcd import Etcd
    from scaler.gateways.kube import JsonObject, Kube

GROUP = "crd.projectcalico.org"
ADDRESS, CLUSTER_ID = "projectcalico.org/IPv4Address", "projectcalico.org/RouteReflectorClusterID"
TUNNELS = {"ipip": "projectcalico.org/IPv4IPIPTunnelAddr", "vxlan": "projectcalico.org/IPv4VXLANTunnelAddr"}
_PREFIX = "/calico/resources/v3/projectcalico.org/"


class Pool(Told):
    """spec of an IPPool; an encapsulation is Never, CrossSubnet or Always."""

    cidr: str
    ipip: str = Field(default="Never", alias="ipipMode")
    vxlan: str = Field(default="Never", alias="vxlanMode")
    disabled: bool = False
    selector: str = Field(default="all()", alias="nodeSelector")


class Bgp(Told):
    """spec of the BGPConfiguration called default; where there is none these are Calico's own defaults."""

    mesh: bool = Field(default=True, alias="nodeToNodeMeshEnabled")
    as_number: int | str = Field(default=64512, alias="asNumber")


class Felix(Told):
    """spec of the FelixConfiguration called default, as far as it asks something of a host."""

    bpf: bool = Field(default=False, alias="bpfEnabled")
    wireguard: bool = Field(default=False, alias="wireguardEnabled")
    ipip_mtu: int = Field(default=0, alias="ipipMTU")
    vxlan_mtu: int = Field(default=0, alias="vxlanMTU")


class Peer(Told):
    """A BGPPeer: of which nodes it is (one, those selected, or all), and whom they are to talk to."""

    name: str
    node: str = ""
    node_selector: str = Field(default="", alias="nodeSelector")
    address: str = Field(default="", alias="peerIP")
    selector: str = Field(default="", alias="peerSelector")
    as_number: int | str | None = Field(default=None, alias="asNumber")
    labels: dict[str, str] = Field(default={})


class Member(Told):
    """A node as Calico knows it: its address with prefix, and the cluster ID that makes it a reflector."""

    name: str
    address: str = ""
    cluster_id: str = ""
    labels: dict[str, str] = Field(default={})


class Calico(Network):
    """The network, and what the driver needs to know again at a join."""

    datastore: str = "kubernetes"
    mesh: bool = True
    bgp: bool = True
    as_number: str = "64512"
    peers: tuple[Peer, ...] = ()
    members: tuple[Member, ...] = ()
    tunnel: str = ""
    # Which nodes get an address for the tunnel, and whether nodes need BGP to reach each other's pods.
    tunnelled: tuple[str, ...] = ()
    routed: bool = True
    # Labels that scaler will give to nodes that are none yet.
    labels: dict[str, dict[str, str]] = Field(default={})
    # The cluster's own members of etcd that Calico has its objects from.
    endpoints: tuple[str, ...] = ()


class Objects(Protocol):
    """Where Calico keeps what it is told."""

    def of(self, kind: str) -> list[JsonObject]:
        """Return all objects of ``kind``, a plural word."""

    def members(self) -> tuple[Member, ...]:
        """Return the nodes as Calico knows them."""


class InApi:
    """Datastore kubernetes: kinds of the API, and annotations of the Nodes."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def of(self, kind: str) -> list[JsonObject]:
        """Return all objects of ``kind``."""
        return self._kube.get(f"{kind}.{GROUP}")

    def members(self) -> tuple[Member, ...]:
        """Return the Nodes with what calico-node wrote on them."""
        return tuple(
            Member(
                name=node.name,
                address=node.metadata.annotations.get(ADDRESS, ""),
                cluster_id=node.metadata.annotations.get(CLUSTER_ID, ""),
                labels=node.metadata.labels,
            )
            for node in read_nodes(self._kube)
        )


class InEtcd:
    """Datastore etcd: one key an object."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd

    def of(self, kind: str) -> list[JsonObject]:
        """Return all objects of ``kind``."""
        return [json.loads(value) for _, value in sorted(self._etcd.read(f"{_PREFIX}{kind}/").items())]

    def members(self) -> tuple[Member, ...]:
        """Return Calico's own nodes."""
        found = []
        for told in self.of("nodes"):
            meta, bgp = told["metadata"], (told.get("spec") or {}).get("bgp") or {}
            found.append(
                Member(
                    name=meta["name"],
                    address=bgp.get("ipv4Address", ""),
                    cluster_id=bgp.get("routeReflectorClusterID", ""),
                    labels=meta.get("labels") or {},
                )
            )
        return tuple(found)


def spec_of(told: JsonObject) -> dict[str, Any]:
    """Return an object's spec without what is null."""
    return {name: value for name, value in (told.get("spec") or {}).items() if value is not None}


def pools(objects: Objects) -> tuple[Pool, ...]:
    """Return the IPv4 pools that are not disabled."""
    found = [Pool.model_validate(spec_of(told)) for told in objects.of("ippools")]
    return tuple(pool for pool in found if not pool.disabled and ":" not in pool.cidr)


def bgp(objects: Objects) -> Bgp:
    """Return the configuration that counts for all nodes."""
    return Bgp.model_validate(_default(objects, "bgpconfigurations"))


def felix(objects: Objects) -> Felix:
    """Return the configuration that counts for all nodes."""
    return Felix.model_validate(_default(objects, "felixconfigurations"))


def peers(objects: Objects) -> tuple[Peer, ...]:
    """Return the BGPPeers of IPv4."""
    found = []
    for told in objects.of("bgppeers"):
        meta = told["metadata"]
        found.append(Peer.model_validate({**spec_of(told), "name": meta["name"], "labels": meta.get("labels") or {}}))
    return tuple(found)


def _default(objects: Objects, kind: str) -> dict[str, Any]:
    return next((spec_of(told) for told in objects.of(kind) if told["metadata"]["name"] == "default"), {})
