"""The standard bridge plugin on each node, and a route for each other node's pods: static, or told over BGP by BIRD."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scaler.drivers import cni_reflectors
from scaler.drivers.cni import Cni, Doors, Lacking, Plain, Said
from scaler.errors import ScalerError
from scaler.gateways.kube import nodes as read_nodes
from scaler.gateways.ssh import on_each
from scaler.model.network import REFLECTOR_LABEL, Needs, Network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scaler.model.facts import HostFacts
    from scaler.model.inventory import Host, Settings
    from scaler.model.state import Node

BGP_PORT = 179
# BIRD's number in /etc/iproute2/rt_protos; a host need not have that file.
_PROTOCOL = "12"
_WAYS = {
    "static": "routed: static routes, kept out of the API's Nodes",
    "bgp-mesh": "routed: BGP by BIRD, full mesh, AS {}",
    "bgp-reflector": "routed: BGP by BIRD, route reflectors, AS {}",
}


class Routed(Plain):
    """The nodes know each other out of the API's Nodes; no old node is touched for a new one."""

    roles: tuple[str, ...] = ("routed", "bird")
    needs_pod_cidr = True

    def brought_by_scaler(self, settings: Settings) -> bool:
        """Tell whether BIRD is placed."""
        return settings.cni_routing != "static"

    def read(self, doors: Doors) -> Network:
        """Return the way that the inventory wants, and who reflects."""
        settings = doors.cluster.settings
        way = _WAYS[settings.cni_routing].format(settings.cni_as_number)
        if settings.cni_routing == "static":
            return Network(way=way, cidrs=(settings.pod_cidr,))
        there = read_nodes(doors.kube)
        what = f"cni_routing {settings.cni_routing}"
        return Network(
            way=way,
            needs=Needs(
                programs={"bird": what, "birdc": what},
                ports={BGP_PORT: "BIRD's sessions"},
                rivals={"bird.service": "a second BIRD deletes the routes of the first at each of its scans"},
            ),
            cidrs=(settings.pod_cidr,),
            one_link=True,
            reflectors=_reflectors(there) if settings.cni_routing == "bgp-reflector" else None,
            told=cni_reflectors.mesh_warning(len(there)) if settings.cni_routing == "bgp-mesh" else (),
            works=True,
        )

    def unfit(self, network: Network, host: Host, facts: HostFacts, nodes: Sequence[Node]) -> Iterator[Said]:
        """Refuse a node that would peer with nobody, and a reflector where nothing is reflected."""
        del facts
        wanted = bool(host.variables.get("cni_reflector"))
        if network.reflectors is None:
            if wanted:
                yield Said("cni_reflector is true, and cni_routing is not bgp-reflector", "set cni_routing, or drop it")
        elif not network.reflectors and not wanted and nodes:
            yield Said(
                f"no node is a reflector (label {REFLECTOR_LABEL}): it would get no route",
                f"kubectl label node NODE {REFLECTOR_LABEL}=true, two of them; or cni_reflector: true on this host",
            )

    def may_leave(self, network: Network, names: Sequence[str], nodes: Sequence[Node]) -> str:
        """Refuse to take the last reflectors away from nodes that stay."""
        return cni_reflectors.last_ones(network.reflectors or (), names, nodes)

    def join(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Label those that are to be reflectors; every node's BIRD hears of it from the API."""
        wanted = [host.name for host in hosts if host.variables.get("cni_reflector")]
        if wanted and doors.cluster.settings.cni_routing == "bgp-reflector":
            doors.kube.call(["label", "nodes", *wanted, "--overwrite", f"{REFLECTOR_LABEL}=true"])
        return {}

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        """Look whether BIRD on each host has put a route to every Ready node's pods into the kernel."""
        if doors.cluster.settings.cni_routing == "static":
            return {}
        joining = {host.name for host in hosts}
        wanted = {
            node.name: node.spec.pod_cidr
            for node in read_nodes(doors.kube)
            if node.ready and node.spec.pod_cidr and node.name not in joining
        }
        argv = ["ip", "-json", "-4", "route", "show", "proto", _PROTOCOL]
        told = on_each(hosts, lambda host: doors.ssh.run(host, argv, timeout=10))
        found: dict[str, Lacking] = {}
        for name, said in told.items():
            if isinstance(said, ScalerError):
                found[name] = Lacking(said.message)
                continue
            there = {route["dst"] for route in json.loads(said.out or "[]")} if said.status == 0 else set()
            missing = sorted(node for node, cidr in wanted.items() if cidr not in there)
            if missing:
                # One old node whose BIRD is down is no reason to refuse a new one.
                found[name] = Lacking(f"BIRD has no route to the pods of {', '.join(missing)}", missing == [*wanted])
        return found


def _reflectors(nodes: Sequence[Node]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes if REFLECTOR_LABEL in node.metadata.labels)


DRIVER: Cni = Routed()
