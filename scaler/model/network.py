"""What a cluster's network is and asks of a host that joins, as values: no driver's own words in it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from scaler.model.base import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Kernel module to the symbol of the kernel's configuration that builds it: where a kernel has it inside, no module of
# that name need be seen anywhere.
MODULES = {
    "br_netfilter": "BRIDGE_NETFILTER",
    "ip_set": "IP_SET",
    "ip_vs": "IP_VS",
    "ipip": "NET_IPIP",
    "nf_conntrack": "NF_CONNTRACK",
    "nf_tables": "NF_TABLES",
    "vxlan": "VXLAN",
    "geneve": "GENEVE",
    "wireguard": "WIREGUARD",
    **{f"ip_vs_{name}": f"IP_VS_{name.upper()}" for name in ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh")},
    **{f"ip_vs_{name}": f"IP_VS_{name.upper()}" for name in ("sed", "nq", "mh", "fo", "ovf")},
}
UNITS = ("bird.service",)
PROGRAMS = ("bird", "birdc", "conntrack", "ipset", "iptables", "nft")
REFLECTOR_LABEL = "node-restriction.kubernetes.io/route-reflector"
"""Marks a Node as a reflector of BIRD's. A kubelet may not give itself a label of that prefix."""

IPV4_HEADER = 20
VXLAN_HEADERS = 50
WIREGUARD_HEADERS = 60


class Needs(Value):
    """What must be on a host: kernel modules and programs, each with what for; the oldest kernel; free TCP ports.

    ``rivals`` are units that may not run there, each with what it would do.
    """

    modules: dict[str, str] = Field(default={})
    programs: dict[str, str] = Field(default={})
    kernel: str = ""
    kernel_for: str = ""
    ports: dict[int, str] = Field(default={})
    rivals: dict[str, str] = Field(default={})


class Network(Value):
    """How a cluster's pods reach each other, as the cluster itself says.

    ``way`` tells it to a person. ``mtu`` is that of pods where it is fixed, and ``overhead`` what a tunnel adds.
    ``subnets`` are the addresses with prefix that nodes tell of themselves, by name. With ``tunnels`` across subnets
    only such pairs of nodes tunnel whose addresses are not on one. ``one_link`` says that all nodes must be.
    ``reflectors`` are the nodes that pass routes on, where the others have them from there; ``told`` are warnings;
    ``refusals`` are what speaks against any join. ``works`` says that a join has work in the network's own API, or a
    proof; ``leaves_work`` that a leave has.
    """

    way: str = ""
    needs: Needs = Needs()
    mtu: int = 0
    overhead: int = 0
    cidrs: tuple[str, ...] = ()
    tunnels: Literal["never", "across subnets", "always"] = "never"
    subnets: dict[str, str] = Field(default={})
    one_link: bool = False
    replaces_proxy: bool = False
    reflectors: tuple[str, ...] | None = None
    told: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    works: bool = False
    leaves_work: bool = False


def on_one_subnet(one: str, others: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Split ``others`` (name to address) into those in the subnet of ``one`` (ADDRESS/PREFIX) and those outside."""
    subnet = ipaddress.ip_interface(one).network
    inside = [name for name, address in others.items() if address and ipaddress.ip_address(address) in subnet]
    outside = [name for name, address in others.items() if address and name not in inside]
    return inside, outside


def overlapping(cidrs: Iterable[str], other: str) -> list[str]:
    """Return those of ``cidrs`` that overlap ``other``."""
    wanted = ipaddress.ip_network(other)
    return [
        cidr
        for cidr in cidrs
        if (found := ipaddress.ip_network(cidr)).version == wanted.version and found.overlaps(wanted)
    ]
