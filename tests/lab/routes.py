"""The routes to pods in the kernels of the lab's hosts, as they are and as the API's Nodes say they should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.conftest import Cluster

# The kernel's numbers of who made a route.
BIRD, STATIC = "12", "197"


def routes(cluster: Cluster, host: str, protocol: str = BIRD) -> dict[str, str]:
    """Return what is in the kernel of ``host``: pod CIDR to gateway."""
    told = json.loads(cluster.hosts[host].exec(["ip", "-json", "route", "show", "proto", protocol]).out or "[]")
    return {route["dst"]: route["gateway"] for route in told}


def wanted(cluster: Cluster, host: str) -> dict[str, str]:
    """Return the routes that ``host`` should have, as the API's Nodes say."""
    found = {}
    for name, node in cluster.nodes().items():
        address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
        if name != host:
            found[node["spec"]["podCIDR"]] = address
    return found


def right(cluster: Cluster, *hosts: str, protocol: str = BIRD) -> bool:
    """Tell whether each of ``hosts`` has the routes to the pods of all other nodes, and no other."""
    return all(routes(cluster, host, protocol) == wanted(cluster, host) for host in hosts)
