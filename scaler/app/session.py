"""Open the doors a change needs, for one cluster, and close them."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.drivers import cni, lb
from scaler.engine import lock
from scaler.engine.events import Event
from scaler.engine.interrupts import Interrupts
from scaler.engine.journal import Journal, facts, journalled, state_dir
from scaler.engine.lease import Lease, held
from scaler.engine.run import Engine, Outcome
from scaler.errors import ScalerError
from scaler.gateways import inventory, tls
from scaler.gateways.clock import SystemClock
from scaler.gateways.etcd import Etcdctl
from scaler.gateways.kube import Kubectl
from scaler.gateways.playbooks import RunnerPlaybooks
from scaler.gateways.private import private_directory
from scaler.gateways.process import alive
from scaler.gateways.ssh import ParamikoSsh, PatientSsh
from scaler.gateways.store import Binary, Store, cache_dir
from scaler.plan.recipes.init import CHANGE as INIT
from scaler.steps.base import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from scaler.engine.events import Observer
    from scaler.gateways.etcd import Etcd
    from scaler.gateways.lease import Held
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

    def world(self, plan: Plan, run: str = "") -> World:
        """Return what the steps of ``plan`` act in; without a run's name, one to look at only."""
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

    def run(self, plan: Plan, observers: Iterable[Observer]) -> Outcome:
        """Run ``plan``, journalled, with the cluster's Lease held.

        Raises LockedError where another controller changes the cluster.
        """
        run = new_run_id(self.clock.now())
        return self._journalled(plan, run, self.world(plan, run), observers, Engine.run)

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
        return self._journalled(plan, run, world, observers, lambda engine: engine.roll_back(plan, begun, keeps))

    def _journalled(
        self, plan: Plan, run: str, world: World, observers: Iterable[Observer], act: Callable[[Engine], Outcome]
    ) -> Outcome:
        observers, interrupts = tuple(observers), Interrupts()
        with interrupts.listening(), closing(Journal(self.cluster.name, run)) as journal:
            lock.note_run(self.cluster.name, run)
            with self._fenced(plan, run, world, observers):
                return act(Engine(world, [journal, *observers], interrupts, run=run))

    @contextmanager
    def _fenced(self, plan: Plan, run: str, world: World, observers: Iterable[Observer]) -> Iterator[None]:
        """Hold the Lease, and let the engine ask it; a cluster that is only being made has no API to keep one."""
        if plan.change == INIT:
            yield
            return
        names = " ".join(host.name for host in plan.hosts)
        holder = lock.this_process(f"{plan.change} {names}", self.clock.now(), run)
        seconds = self.cluster.settings.lease_seconds
        lease = Lease(self.kube, self.clock, self.cluster.name, holder, seconds)

        def warn(message: str) -> None:
            for observer in observers:
                with suppress(Exception):  # the run has ended, and its outcome is told whoever listens
                    observer.hear(Event(kind="lease-left", at=self.clock.now(), run=run, message=message))

        with held(lease, seconds, self._is_our_dead, warn):
            world.fence = lease.must_hold
            yield

    def _is_our_dead(self, found: Held) -> bool:
        """Tell whether it is held by a run of this machine and state directory, whose process is gone."""
        holder = found.holder
        ours = holder.host == socket.gethostname() and holder.run in journalled(self.cluster.name)
        return ours and not alive(holder.pid)


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
