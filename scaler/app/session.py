"""Open the doors a change needs, for one cluster, and close them."""

from __future__ import annotations

import os
import secrets
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.drivers import cni, lb
from scaler.engine.journal import Journal, facts, state_dir
from scaler.engine.run import Engine, Outcome
from scaler.errors import ScalerError
from scaler.gateways import inventory, tls
from scaler.gateways.clock import SystemClock
from scaler.gateways.etcd import Etcdctl
from scaler.gateways.kube import Kubectl
from scaler.gateways.playbooks import RunnerPlaybooks
from scaler.gateways.private import private_directory
from scaler.gateways.ssh import ParamikoSsh
from scaler.gateways.store import Binary, Store, cache_dir
from scaler.steps.base import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scaler.engine.events import Observer
    from scaler.gateways.etcd import Etcd
    from scaler.model.inventory import Cluster, Host
    from scaler.plan.plan import Plan


@dataclass
class Session:
    """The doors to one cluster."""

    cluster: Cluster
    ssh: ParamikoSsh
    playbooks: RunnerPlaybooks
    store: Store
    clock: SystemClock
    scratch: Path
    steady_at: float = float("-inf")

    @property
    def kube(self) -> Kubectl:
        """The API, by the cluster's own kubectl."""
        binary = kubectl_of(self.cluster, self.store)
        return Kubectl(binary, self.cluster.settings.admin_kubeconfig, cache_dir() / "kubectl" / self.cluster.name)

    @property
    def etcd(self) -> Etcdctl:
        """The members of etcd, by etcdctl on one of them."""
        settings = self.cluster.settings
        return Etcdctl(self.ssh, self.cluster.etcd, settings.bin_dir, settings.etcd_version)

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
            elif "intent" in fact:
                asked.add(fact.get("peer_url"))
        if asked - {None}:
            with suppress(ScalerError):
                known |= {m.id for m in self.etcd.members() if m.learner and asked & set(m.peer_urls)}
        return known

    def world(self, plan: Plan, run: str = "") -> World:
        """Return what the steps of ``plan`` act in; without a run's name, one to look at only."""
        return World(
            run=run,
            cluster=self.cluster,
            plan=plan,
            kube=self.kube,
            ssh=self.ssh,
            playbooks=self.playbooks,
            store=self.store,
            clock=self.clock,
            scratch=self.scratch,
            snapshots=state_dir() / self.cluster.name / "snapshots",
            etcd=self.etcd,
            masters=list(self.cluster.masters),
            own_members=self.own_members(),
            steady_at=self.steady_at,
        )

    def run(self, plan: Plan, observers: Iterable[Observer]) -> Outcome:
        """Run ``plan``, journalled."""
        run = new_run_id(self.clock.now())
        world = self.world(plan, run)
        journal = Journal(self.cluster.name, run)
        try:
            return Engine(world, [journal, *observers]).run()
        finally:
            journal.close()


def new_run_id(now: datetime) -> str:
    """Return a run's name: its time in UTC, and four letters so that two never meet."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def read_cluster(name: str) -> Cluster:
    """Read the inventory of cluster ``name``."""
    labs = Path(os.environ.get("SCALER_LAB_DIR") or "/var/lib/scaler-lab")
    cluster = inventory.read(inventory.find(name, [labs / name / "inventory"]))
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
