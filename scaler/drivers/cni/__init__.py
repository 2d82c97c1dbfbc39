"""How pods get addresses and reach each other: what a node that joins needs for it."""

from __future__ import annotations

from typing import NamedTuple

from scaler.drivers import found


class Cni(NamedTuple):
    """A CNI driver: the roles of ours that put files on a node, and whether the API must give it a pod CIDR first."""

    roles: tuple[str, ...]
    needs_pod_cidr: bool


def of(name: str) -> Cni:
    """Return the driver called ``name``."""
    driver: Cni = found("cni")[name]
    return driver
