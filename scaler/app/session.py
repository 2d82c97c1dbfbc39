"""Open the doors a change needs, for one cluster, and close them."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaler.app import cloud_session
from scaler.app.cloud_session import CloudSession
from scaler.app.inventories import directory_of, read_managed
from scaler.app.runner import Runner, new_run_id
from scaler.drivers import cni, lb
from scaler.engine.journal import facts, state_dir
from scaler.errors import InputError, NotOfferedError, ScalerError
from scaler.gateways import inventory, tls
from scaler.gateways.clock import SystemClock
from scaler.gateways.etcd import Etcdctl
from scaler.gateways.kube import Kubectl
from scaler.gateways.playbooks import RunnerPlaybooks
from scaler.gateways.private import private_directory
from scaler.gateways.ssh import ParamikoSsh, PatientSsh
from scaler.gateways.store import Binary, Store, cache_dir
from scaler.model.cloud_cluster import CloudCluster
from scaler.plan.plan import Plan
from scaler.steps.base import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from scaler.engine.events import Observer
    from scaler.engine.run import Outcome
    from scaler.gateways.etcd import Etcd
    from scaler.model.inventory import Cluster, Host
    from scaler.plan.plan import AnyPlan


@dataclass
class Session(Runner):
    """The doors to one cluster."""

    cluster: Cluster
    ssh: ParamikoSsh
    playbooks: RunnerPlaybooks
    store: Store
    clock: SystemClock
    scratch: Path
    steady_at: float = float("-inf")

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def lease_seconds(self) -> int:
        """How long a Lease holds that is not renewed."""
        return self.cluster.settings.lease_seconds

    @property
    def kube(self) -> Kubectl:
        """The API, by the cluster's own kubectl."""
        binary = kubectl_of(self.cluster, self.store)
        return Kubectl(binary, self.cluster.settings.admin_kubeconfig, cache_dir() / "kubectl" / self.cluster.name)

    @property
    def etcd(self) -> Etcdctl:
        """The members of etcd, by etcdctl on one of them."""
        settings = self.cluster.settings
        return Etcdctl(
            self.ssh,
            self.cluster.etcd,
            settings.bin_dir,
            settings.etcd_version,
            clock=self.clock,
            patience=settings.reconnect_seconds,
        )

    def etcd_on(self, host: Host) -> Etcd:
        """Return etcd as the member on ``host`` tells it, and nobody in its place, within a few seconds."""
        settings = self.cluster.settings
        return Etcdctl(self.ssh, (host,), settings.bin_dir, settings.etcd_version, seconds=3)

    def certificate_at(self, address: str, port: int) -> str:
        """Return the certificate (PEM) that a server shows in its handshake."""
        return tls.shown(address, port)

    def own_members(self) -> set[int]:
        """Return the IDs of the members of etcd that runs of scaler added to this cluster.

        A run that was killed before it could note an ID left what it was about to do; the peer URL tells the learner.
        """
        known, asked = set(), set()
        for fact in facts(self.cluster.name):
            if "member" in fact:
                known.add(int(fact["member"], 16))
                asked.discard(fact.get("peer_url"))
            elif fact.get("intent", "").startswith("member add"):
                asked.add(fact.get("peer_url"))
        if asked - {None}:
            with suppress(ScalerError):
                known |= {m.id for m in self.etcd.members() if m.learner and asked & set(m.peer_urls)}
        return known

    def world(self, plan: AnyPlan, run: str = "") -> World:
        """Return what the steps of ``plan`` act in; without a run's name, one to look at only."""
        if not isinstance(plan, Plan):
            raise InputError(f"{plan.change} is a change of a managed cluster")
        return World(
            run=run,
            cluster=self.cluster,
            plan=plan,
            kube=self.kube,
            ssh=PatientSsh(self.ssh, self.clock, self.cluster.settings.reconnect_seconds),
            playbooks=self.playbooks,
            store=self.store,
            clock=self.clock,
            scratch=self.scratch,
            snapshots=state_dir() / self.cluster.name / "snapshots",
            etcd=self.etcd.without(host for host in plan.hosts if host.name in plan.dead) if plan.dead else self.etcd,
            masters=[master for master in self.cluster.masters if master.name not in plan.dead],
            own_members=self.own_members(),
            steady_at=self.steady_at,
            answered=self.ssh.answered,
        )

    def roll_back(
        self,
        world: World,
        plan: Plan,
        begun: Mapping[str, Sequence[str]],
        keeps: Mapping[str, str],
        observers: Iterable[Observer],
    ) -> Outcome:
        """Take back what ``world``'s run has ``begun``, journalled as a run of its own that ``plan`` describes."""
        run = new_run_id(self.clock.now())
        return self.journalled(plan, run, world, observers, lambda engine: engine.roll_back(plan, begun, keeps))


def read_any(name: str) -> Cluster | CloudCluster:
    """Read the inventory of cluster ``name``, whatever kind it is of."""
    return read_managed(name) or read_cluster(name)


def read_cluster(name: str) -> Cluster:
    """Read the inventory of cluster ``name``; raises NotOfferedError where it is a managed one."""
    managed = read_managed(name)
    if managed is not None:
        raise NotOfferedError(
            f"cluster {managed.name} is of kind {managed.settings.kind}: its machines are the cloud's",
            hint="its nodes change by add-node --pool, scale, remove-node and pool",
        )
    return _checked(inventory.read(directory_of(name)))


def any_kubectl_of(cluster: Cluster | CloudCluster) -> Path:
    """Return the kubectl for a cluster of any kind."""
    return cloud_session.kubectl_of(cluster) if isinstance(cluster, CloudCluster) else kubectl_of(cluster)


@contextmanager
def any_opened(cluster: Cluster | CloudCluster) -> Iterator[Session | CloudSession]:
    """Open the doors to a cluster of any kind, for what is the same for all."""
    if isinstance(cluster, CloudCluster):
        yield CloudSession(cluster)
        return
    with opened(cluster) as session:
        yield session


def _checked(cluster: Cluster) -> Cluster:
    cni.of(cluster.settings.cni)
    lb.of(cluster.settings.loadbalancer)
    return cluster


def kubectl_of(cluster: Cluster, store: Store | None = None) -> Path:
    """Return the kubectl of the cluster's own version, verified."""
    settings = cluster.settings
    store = store or Store(settings)
    return store.path(Binary("kubernetes", settings.kubernetes_version, settings.kubernetes_arch, "kubectl"))


@contextmanager
def opened(cluster: Cluster) -> Iterator[Session]:
    """Open the doors to ``cluster``; what was private is gone afterwards."""
    ssh = ParamikoSsh(cluster.settings.known_hosts)
    with closing(ssh), private_directory() as private:
        playbooks = RunnerPlaybooks(cluster.settings.known_hosts, private)
        scratch = private / "credentials"
        scratch.mkdir(mode=0o700)
        yield Session(cluster, ssh, playbooks, Store(cluster.settings), SystemClock(), scratch)
