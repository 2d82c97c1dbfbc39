"""A cluster as one look saw it, each part by itself: what could not be asked is named, never guessed."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from scaler.model.base import Value
from scaler.model.holder import Holder


class Unknown(Value):
    """Something that was asked for and not told, and why."""

    what: str
    why: str


class NodeSeen(Value):
    """A Node; ``why`` is what its kubelet says where it is not Ready."""

    name: str
    address: str = ""
    roles: tuple[str, ...] = ()
    ready: bool
    why: str = ""
    cordoned: bool = False
    version: str = ""
    runtime: str = ""
    pod_cidr: str = ""
    created: datetime | None = None


class MasterSeen(Value):
    """An API server asked directly; ``etcd_servers`` is the running one's list, None where its host did not tell."""

    name: str
    address: str
    ready: bool
    why: str = ""
    version: str = ""
    etcd_servers: tuple[str, ...] | None = None


class MemberSeen(Value):
    """A member of etcd; ``healthy`` is None where nobody could ask it; ``lag`` counts entries of the log."""

    name: str
    id: str = ""
    url: str = ""
    learner: bool = False
    leader: bool = False
    healthy: bool | None = None
    why: str = ""
    version: str = ""
    db_bytes: int = 0
    quota_bytes: int = 0
    term: int = 0
    lag: int = 0
    alarms: tuple[str, ...] = ()

    @property
    def full(self) -> float:
        """How much of its quota the database has taken, 1 is all."""
        return self.db_bytes / self.quota_bytes if self.quota_bytes else 0.0


class EtcdSeen(Value):
    """The members, and the name of the one that those who answer call their leader."""

    members: tuple[MemberSeen, ...] = ()
    leader: str = ""

    @property
    def voters(self) -> tuple[MemberSeen, ...]:
        """The members that count for quorum."""
        return tuple(m for m in self.members if not m.learner)


class BackendSeen(Value):
    """An API server as a balancer sees it."""

    name: str
    up: bool
    told: str = ""


class BalancerSeen(Value):
    """A load balancer; ``backends`` is None where it did not tell, ``vip`` where there is none or nobody told."""

    name: str
    backends: tuple[BackendSeen, ...] | None = None
    why: str = ""
    vip: bool | None = None


class WorkloadSeen(Value):
    """A Deployment or DaemonSet of kube-system: how many of its pods are ready, of how many."""

    kind: str
    name: str
    ready: int
    wanted: int


class DnsSeen(Value):
    """The Service at cluster_dns, empty where there is none, and how many addresses stand behind it."""

    service: str = ""
    endpoints: int = 0


class CertificateSeen(Value):
    """A certificate by where it was seen, and its end."""

    host: str
    what: str
    ends: datetime

    def left(self, now: datetime) -> timedelta:
        """Return how long it is still good."""
        return self.ends - now


class LeaseSeen(Value):
    """The Lease in the cluster; nobody holds it where ``holder`` is empty."""

    holder: str = ""
    acquired: datetime | None = None
    renewed: datetime | None = None
    seconds: int = 0

    def expired(self, now: datetime) -> bool:
        """Tell whether its holder has not renewed it in time."""
        return self.renewed is not None and now > self.renewed + timedelta(seconds=self.seconds)


class RunSeen(Value):
    """A run that left hosts half-way, or is at it now (``running``)."""

    run: str
    change: str = ""
    hosts: tuple[str, ...] = ()
    began: datetime | None = None
    running: bool = False


class Status(Value):
    """Everything; ``hosts`` names who was asked by SSH and why not reached, empty where it answered."""

    cluster: str
    at: datetime
    endpoint: str
    api: bool = False
    api_why: str = ""
    told_by: str = ""
    version: str = ""
    cni: str = ""
    proxy: dict[str, str] = Field(default={})
    hosts: dict[str, str] = Field(default={})
    nodes: tuple[NodeSeen, ...] | None = None
    masters: tuple[MasterSeen, ...] = ()
    etcd: EtcdSeen = EtcdSeen()
    balancers: tuple[BalancerSeen, ...] = ()
    balancers_left: int = 0
    vip: str = ""
    dns: DnsSeen | None = None
    workloads: tuple[WorkloadSeen, ...] = ()
    certificates: tuple[CertificateSeen, ...] = ()
    differences: tuple[str, ...] = ()
    missing_nodes: tuple[str, ...] = ()
    foreign_nodes: tuple[str, ...] = ()
    runs: tuple[RunSeen, ...] = ()
    lock: Holder | None = None
    lease: LeaseSeen | None = None
    unknown: tuple[Unknown, ...] = ()

    @property
    def answered(self) -> bool:
        """Tell whether anything of the cluster answered at all."""
        return self.api or any(m.ready or m.version for m in self.masters) or "" in self.hosts.values()
