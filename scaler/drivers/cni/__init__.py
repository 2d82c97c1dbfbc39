"""How pods get addresses and reach each other: what a node that joins needs for it."""

from __future__ import annotations

from typing import NamedTuple

from scaler.drivers import found
from scaler.errors import InputError


class Cni(NamedTuple):
    """A CNI driver: the roles of ours that put files on a node, and whether the API must give it a pod CIDR first.

    ``node_kinds`` are kinds of the API: of each the network keeps an object of the node's name, and does not delete it.
    """

    roles: tuple[str, ...]
    needs_pod_cidr: bool
    node_kinds: tuple[str, ...] = ()


def of(name: str) -> Cni:
    """Return the driver called ``name``; raises InputError where there is none."""
    drivers: dict[str, Cni] = found("cni")
    if name not in drivers:
        raise InputError(f"cni: there is no driver {name!r}", hint=f"one of {', '.join(drivers)}")
    return drivers[name]
