"""flannel with the API's Nodes as its datastore: a VXLAN, or routes by host-gw between nodes on one link."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scaler.drivers import cni_daemonset
from scaler.drivers.cni import Cni, Doors, Lacking, Plain
from scaler.errors import PreflightError
from scaler.gateways.kube import nodes as read_nodes
from scaler.model.base import Value
from scaler.model.network import Needs, Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.inventory import Host

# Its manifest moved from the first to the second with 0.20.
NAMESPACES = ("kube-flannel", "kube-system")
NAMES = ("kube-flannel-ds", "kube-flannel-ds-amd64", "kube-flannel-ds-arm64")
_CONFIG = "kube-flannel-cfg"
_ANNOTATION = "flannel.alpha.coreos.com"


class NetConf(Value):
    """net-conf.json of flannel: its network, its backend, and whether VXLAN is for other subnets only."""

    network: str
    backend: str
    direct_routing: bool = False
    mtu: int = 0


class Flannel(Plain):
    """The subnet of a node is its pod CIDR; flannel annotates the Node, so all goes with it when it leaves."""

    needs_pod_cidr = True

    def read(self, doors: Doors) -> Network:
        """Return what net-conf.json says."""
        found = _daemonset(doors)
        conf = net_conf(doors, found.namespace)
        wanted = doors.cluster.settings.pod_cidr
        refusals: tuple[str, ...] = ()
        if conf.network != wanted:
            refusals = (f"flannel's network is {conf.network}, the inventory's pod_cidr is {wanted}",)
        return Network(
            way=f"flannel, {conf.backend}" + (", directly within a subnet" if conf.direct_routing else ""),
            needs=_needs(conf),
            cidrs=(conf.network,),
            # Its MTU is that of the link: flannel takes the tunnel's headers off itself.
            mtu=conf.mtu,
            tunnels=_tunnels(conf),
            one_link=conf.backend == "host-gw",
            refusals=refusals,
            works=True,
        )

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        """Look whether flannel runs on each node and has told the others of it by the Node's annotations."""
        found = _daemonset(doors)
        conf = net_conf(doors, found.namespace)
        nodes = read_nodes(doors.kube)
        addresses = {n.name: n.metadata.annotations.get(f"{_ANNOTATION}/public-ip", "") for n in nodes}
        backends = {n.name: n.metadata.annotations.get(f"{_ANNOTATION}/backend-type", "") for n in nodes}
        lacking = {}
        for host in hosts:
            address, backend = addresses.get(host.name, ""), backends.get(host.name, "")
            why = cni_daemonset.not_running(doors.kube, found, host.name)
            if not why and (backend != conf.backend or cni_daemonset.misplaced(host, address, addresses, nodes)):
                why = f"its Node says {backend or 'no backend'} at {address or 'no address'}"
                why += f", {conf.backend} at {host.address} is wanted"
            if why:
                lacking[host.name] = Lacking(f"flannel: {why}")
        return lacking


def _daemonset(doors: Doors) -> cni_daemonset.DaemonSet:
    """Return flannel's DaemonSet, by whichever of its names; older manifests have one for each architecture."""
    error: PreflightError | None = None
    for name in NAMES:
        try:
            return cni_daemonset.find(doors.kube, name, NAMESPACES, "kube-flannel")
        except PreflightError as e:
            error = error or e
    assert error is not None  # noqa: S101 - there is a name at least
    raise error


def net_conf(doors: Doors, namespace: str) -> NetConf:
    """Return flannel's configuration out of its ConfigMap; raises PreflightError where it cannot be read."""
    text = cni_daemonset.config(doors.kube, _CONFIG, namespace).get("net-conf.json", "")
    try:
        told = json.loads(text)
        backend = told.get("Backend") or {}
        return NetConf(
            network=told["Network"],
            backend=str(backend.get("Type", "udp")).lower(),
            direct_routing=bool(backend.get("DirectRouting", False)),
            mtu=int(backend.get("MTU", 0)),
        )
    except (ValueError, KeyError, AttributeError) as e:
        raise PreflightError(
            f"ConfigMap {namespace}/{_CONFIG}: net-conf.json cannot be read: {e}",
            hint="look at it; nothing was touched",
        ) from e


def _needs(conf: NetConf) -> Needs:
    what = f"flannel's backend {conf.backend}"
    modules = {"vxlan": "vxlan", "wireguard": "wireguard"}
    return Needs(modules={"br_netfilter": what} | {modules[b]: what for b in modules if b == conf.backend})


def _tunnels(conf: NetConf) -> str:
    if conf.backend == "host-gw":
        return "never"
    return "across subnets" if conf.direct_routing else "always"


DRIVER: Cni = Flannel()
