"""What a lab's host is for, by its name: m1 is a master, lb1 a load balancer, e1 has etcd, n1 waits to be a worker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scaler.errors import InputError

MASTER = "master"
LOADBALANCER = "load balancer"
ETCD = "etcd"
WORKER = "worker"
_PREFIXES = (("lb", LOADBALANCER), ("m", MASTER), ("e", ETCD))
# The last address of a lab's subnet is the VIP's; with one, a host has none left.
_ADDRESSES = 253


class Balancer(StrEnum):
    """What may stand before the API servers of a lab."""

    haproxy = "haproxy"
    nginx = "nginx"
    local = "local"


@dataclass(frozen=True)
class Shape:
    """How many hosts of each role a lab has, and what stands before its API servers.

    With a VIP and no hosts for load balancers the masters are the load balancers.
    """

    masters: int = 1
    loadbalancers: int = 1
    workers: int = 3
    etcd: int = 0
    balancer: Balancer = Balancer.haproxy
    vip: bool = False

    def __post_init__(self) -> None:
        if self.vip and self.balancer is Balancer.local:
            why = "--vip and --loadbalancer local do not go together"
            raise InputError(why, hint="the VIP moves between hosts that are load balancers")
        if self.loadbalancers == 0 and self.balancer is Balancer.nginx and not self.vip:
            raise InputError("--loadbalancer nginx needs a host for it", hint="say --loadbalancers 1 or more")
        if self.vip and len(self.names()) >= _ADDRESSES:
            raise InputError(f"with --vip a lab has at most {_ADDRESSES - 1} hosts", hint="make a second lab")

    def names(self) -> list[str]:
        """Return the names of all hosts."""
        counts = (("lb", self.loadbalancers), ("m", self.masters), ("e", self.etcd), ("n", self.workers))
        return [f"{prefix}{number}" for prefix, count in counts for number in range(1, count + 1)]


def role_of(name: str) -> str:
    """Return what the host called ``name`` is for."""
    return next((role for prefix, role in _PREFIXES if name.removeprefix(prefix).isdigit()), WORKER)
