"""What a lab's host is for, by its name: m1 is a master, lb1 a load balancer, n1 waits to become a worker."""

from __future__ import annotations

MASTER = "master"
LOADBALANCER = "load balancer"
WORKER = "worker"
_PREFIXES = (("lb", LOADBALANCER), ("m", MASTER))


def names(*, masters: int, loadbalancers: int, workers: int) -> list[str]:
    """Return the names of that many hosts of each role."""
    counts = (("lb", loadbalancers), ("m", masters), ("n", workers))
    return [f"{prefix}{number}" for prefix, count in counts for number in range(1, count + 1)]


def role_of(name: str) -> str:
    """Return what the host called ``name`` is for."""
    return next((role for prefix, role in _PREFIXES if name.removeprefix(prefix).isdigit()), WORKER)
