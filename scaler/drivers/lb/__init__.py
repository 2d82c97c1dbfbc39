"""What stands before the API servers: how each kind is told its masters, asked what it serves, and tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from scaler.drivers import found
from scaler.errors import InputError, StepError
from scaler.gateways.ssh import Ssh
from scaler.model.inventory import Cluster, Host

API_SERVER_PORT = 6443


class Backend(NamedTuple):
    """An API server that a balancer sends connections to, and whether it would get one now."""

    address: str
    up: bool
    told: str = ""


class Balancer(NamedTuple):
    """One balancer by its name; ``host`` is where it runs, None where scaler does not know."""

    name: str
    host: Host | None


class Play(Protocol):
    """Runs a playbook on hosts of a group, each with its variables, and returns the failures by host."""

    def __call__(
        self, playbook: str, group: str, hosts: Sequence[Host], variables: dict[str, dict[str, Any]], *, check: bool
    ) -> dict[str, str]:
        """Run it, or only look with ``check``."""


@dataclass(frozen=True)
class Doors:
    """What a driver may use for one cluster; ``ca`` is the cluster's, in PEM."""

    cluster: Cluster
    ssh: Ssh
    play: Play
    ca: str


class LoadBalancer(Protocol):
    """One kind of load balancer. What acts on several returns the failures by name; what acts on one raises."""

    title: str
    # One on every worker: told in batches, and one that cannot be reached is left for later.
    everywhere: bool

    def balancers(self, cluster: Cluster) -> tuple[Balancer, ...]:
        """Return the balancers of ``cluster``."""

    def rehearse(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Have each balancer itself judge the configuration with ``masters``, and change nothing."""

    def put(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Make each send to exactly ``masters``: validated first, reloaded, never restarted."""

    def serving(self, doors: Doors, balancer: Balancer) -> tuple[Backend, ...]:
        """Return what the running balancer sends to."""

    def set_aside(self, doors: Doors, balancer: Balancer, masters: Sequence[Host], master: Host) -> None:
        """Send no new connection to ``master``, one of ``masters``."""

    def take_back(self, doors: Doors, balancer: Balancer, masters: Sequence[Host], master: Host) -> None:
        """Send to ``master`` again."""

    def probe(self, doors: Doors, balancer: Balancer) -> str:
        """Ask the API through this balancer; return why it does not answer, empty where it does."""


def of(name: str) -> LoadBalancer:
    """Return the driver called ``name``; raises InputError where there is none."""
    drivers: dict[str, LoadBalancer] = found("lb")
    if name not in drivers:
        raise InputError(f"loadbalancer: there is no driver {name!r}", hint=f"one of {', '.join(drivers)}")
    return drivers[name]


def must_put(driver: LoadBalancer, doors: Doors, balancer: Balancer, masters: Sequence[Host]) -> None:
    """Make one balancer send to exactly ``masters``; raises StepError with the reason."""
    _raise(driver.put(doors, [balancer], masters))


def _raise(failures: dict[str, str]) -> None:
    for name, failure in failures.items():
        raise StepError(f"{name}: {failure}")


class ByConfiguration:
    """A balancer that has no other way to set a master aside than a configuration without it."""

    def set_aside(self, doors: Doors, balancer: Balancer, masters: Sequence[Host], master: Host) -> None:
        """Put a configuration without ``master``."""
        self._must_put(doors, balancer, [other for other in masters if other.name != master.name])

    def take_back(self, doors: Doors, balancer: Balancer, masters: Sequence[Host], master: Host) -> None:
        """Put the whole configuration again."""
        del master
        self._must_put(doors, balancer, masters)

    def put(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Make each send to exactly ``masters``."""
        raise NotImplementedError

    def _must_put(self, doors: Doors, balancer: Balancer, masters: Sequence[Host]) -> None:
        _raise(self.put(doors, [balancer], masters))


def on(balancer: Balancer) -> Host:
    """Return the host of a balancer that has one."""
    if balancer.host is None:
        raise StepError(f"{balancer.name} runs on no host of the inventory")
    return balancer.host
