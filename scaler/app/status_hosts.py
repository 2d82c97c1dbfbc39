"""What the hosts of the control plane tell by SSH: masters, members of etcd and load balancers, one thread each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaler.app.asking import caught, late
from scaler.checks import running
from scaler.drivers import lb
from scaler.errors import ScalerError, UnreachableError
from scaler.gateways import https, kubeconfig
from scaler.gateways.addresses import interfaces
from scaler.gateways.etcd import LOCAL, PKI, EtcdError
from scaler.model.etcd import Member, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.session import Session
    from scaler.drivers.lb import Backend, Balancer
    from scaler.model.inventory import Cluster, Host

# Balancers on every worker that are asked; the others are counted, since a thousand workers are a thousand connections.
LOCAL_LIMIT = 20
SECONDS = 10.0
_HEALTH = https.Ask(
    address="127.0.0.1",
    port=2379,
    path="/health",
    ca_file=f"{PKI}/ca.crt",
    certificate=f"{PKI}/server.crt",
    key=f"{PKI}/server.key",
)


@dataclass
class HostLook:
    """What one host told so far; what it was asked for and has not told is an error in its place."""

    running: running.Running | ScalerError = field(default_factory=lambda: late(SECONDS))
    member: Status | ScalerError = field(default_factory=lambda: late(SECONDS))
    health: str | ScalerError = field(default_factory=lambda: late(SECONDS))
    members: tuple[Member, ...] | ScalerError = field(default_factory=lambda: late(SECONDS))
    backends: tuple[Backend, ...] | ScalerError = field(default_factory=lambda: late(SECONDS))
    vip: bool | ScalerError = field(default_factory=lambda: late(SECONDS))

    @property
    def away(self) -> str:
        """Why the host did not answer, empty where it did."""
        return self.running.message if isinstance(self.running, UnreachableError) else ""


def balancers(cluster: Cluster) -> tuple[list[Balancer], int]:
    """Return the balancers that are asked, and how many are not."""
    driver = lb.of(cluster.settings.loadbalancer)
    every = list(driver.balancers(cluster))
    asked = every[:LOCAL_LIMIT] if driver.everywhere else every
    return asked, len(every) - len(asked)


def to_ask(cluster: Cluster, asked: Sequence[Balancer]) -> dict[str, Host]:
    """Return whom to ask by SSH; other workers are the API's to tell."""
    fronts = [balancer.host for balancer in asked if balancer.host is not None]
    return {host.name: host for host in (*cluster.masters, *cluster.etcd, *fronts)}


def look(session: Session, host: Host, balancer: Balancer | None, seen: HostLook) -> None:
    """Ask ``host`` for all that it is; ends at once where it does not answer."""
    ssh, cluster = session.ssh, session.cluster
    has_etcd = any(host.name == other.name for other in cluster.etcd)
    seen.running = caught(lambda: running.look(ssh, host, etcd=has_etcd))
    if isinstance(seen.running, UnreachableError):
        seen.member = seen.health = seen.members = seen.backends = seen.vip = seen.running
        return
    if balancer is not None:
        seen.backends = caught(lambda: serving(session, balancer))
        if cluster.settings.vip:
            seen.vip = caught(lambda: cluster.settings.vip in interfaces(ssh, host))
    if has_etcd:
        etcd = session.etcd_on(host)
        seen.member = caught(lambda: _status(etcd.status([Member(id=0, client_urls=(LOCAL,))])))
        if isinstance(seen.member, ScalerError):
            seen.health = seen.members = seen.member
            return
        seen.health = caught(lambda: https.ask(ssh, host, [_HEALTH], seconds=3)[0].error)
        seen.members = caught(etcd.members)


def _status(told: dict[int, Status]) -> Status:
    for status in told.values():
        return status
    raise EtcdError("etcdctl told no status of the member there")


def serving(session: Session, balancer: Balancer) -> tuple[Backend, ...]:
    """Return what the running balancer sends to."""
    cluster = session.cluster

    def play(*_: object, **__: object) -> Any:  # noqa: ANN401 - never a value
        raise ScalerError("a status changes nothing")

    ca = kubeconfig.read(cluster.settings.admin_kubeconfig).ca.decode()
    return lb.of(cluster.settings.loadbalancer).serving(lb.Doors(cluster, session.ssh, play, ca), balancer)
