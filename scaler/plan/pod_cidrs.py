"""Arithmetic of the pods' network."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from scaler.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Iterable


def left(pod_cidr: str, node_mask: int, used: Iterable[str]) -> int:
    """Return how many nodes' pod CIDRs are left in ``pod_cidr`` beside the ``used`` ones."""
    network = ipaddress.ip_network(pod_cidr)
    taken = {cidr for cidr in used if ipaddress.ip_network(cidr).subnet_of(network)}  # type: ignore[arg-type]
    return int(2 ** (node_mask - network.prefixlen)) - len(taken)


def must_hold(pod_cidr: str, node_mask: int, used: Iterable[str], wanted: int) -> None:
    """Refuse to add ``wanted`` nodes where their pod CIDRs are not left."""
    free = left(pod_cidr, node_mask, used)
    if free < wanted:
        raise PreflightError(
            f"pod network {pod_cidr} has {free} node ranges (/{node_mask}) left, {wanted} are needed",
            hint="add fewer nodes, or remove nodes that are gone (kubectl get nodes)",
        )
