"""No route of the host's own lies inside the pods' or the Services' network."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    if subject.ours:
        return
    settings = subject.cluster.settings
    for what, cidr in (("pod", settings.pod_cidr), ("Service", settings.service_cidr)):
        network = ipaddress.ip_network(cidr)
        for text in subject.facts.routes:
            route = _network(text)
            if route and route.prefixlen and route.version == network.version and route.overlaps(network):
                yield Told(f"its route {text} overlaps the {what} network {cidr}", "remove the route, or renumber")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


CHECK = Check("routes", _look, of_nodes=True)
