"""Arithmetic of the pods' network."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from scaler.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Iterable


def left(pod_cidr: str, node_mask: int, used: Iterable[str]) -> int:
    """Return how many nodes' pod CIDRs are left in ``pod_cidr`` beside the ``used`` ones.

    A used range of another size takes all those that it overlaps; one of another network or IP version takes none.
    """
    network = ipaddress.ip_network(pod_cidr)
    size = 1 << (network.max_prefixlen - node_mask)
    first, count = int(network.network_address), 1 << (node_mask - network.prefixlen)
    taken: set[int] = set()
    for cidr in set(used):
        other = ipaddress.ip_network(cidr)
        if other.version == network.version and other.overlaps(network):
            begin = max(int(other.network_address) - first, 0) // size
            end = min((int(other.broadcast_address) - first) // size, count - 1)
            taken.update(range(begin, end + 1))
    return count - len(taken)


def must_hold(pod_cidr: str, node_mask: int, used: Iterable[str], wanted: int) -> None:
    """Refuse to add ``wanted`` nodes where their pod CIDRs are not left."""
    free = left(pod_cidr, node_mask, used)
    if free < wanted:
        raise PreflightError(
            f"pod network {pod_cidr} has {free} node ranges (/{node_mask}) left, {wanted} are needed",
            hint="add fewer nodes, or remove nodes that are gone (kubectl get nodes)",
        )
