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
from scaler.gateways import inventory
from scaler.gateways.clock import SystemClock
from scaler.gateways.etcd import Etcdctl
from scaler.gateways.kube import Kubectl
from scaler.gateways.playbooks import RunnerPlaybooks
from scaler.gateways.private import private_directory
from scaler.gateways.process import alive
from scaler.gateways.ssh import ParamikoSsh
from scaler.gateways.store import Binary, Store, cache_dir
from scaler.plan.recipes.init import CHANGE as INIT
from scaler.steps.base import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from scaler.engine.events import Observer
    from scaler.gateways.lease import Held
    from scaler.model.inventory import Cluster
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
        """Run ``plan``, journalled, with the cluster's Lease held.

        Raises LockedError where another controller changes the cluster.
        """
        run = new_run_id(self.clock.now())
        return self._recorded(run, self.world(plan, run), plan, observers, lambda engine: engine.run())

    def roll_back(
        self,
        world: World,
        plan: Plan,
        begun: Mapping[str, Sequence[str]],
        keeps: Mapping[str, str],
        observers: Iterable[Observer],
    ) -> Outcome:
        """Take back what ``world``'s run has ``begun``, as a run of its own that ``plan`` describes."""
        run = new_run_id(self.clock.now())
        return self._recorded(run, world, plan, observers, lambda engine: engine.roll_back(plan, begun, keeps))

    def _recorded(
        self, run: str, world: World, plan: Plan, observers: Iterable[Observer], do: Callable[[Engine], Outcome]
    ) -> Outcome:
        """Let an engine in ``world`` do something as ``run``: journalled, interruptible, fenced by the Lease."""
        observers, interrupts = tuple(observers), Interrupts()
        with interrupts.listening(), closing(Journal(self.cluster.name, run)) as journal:
            lock.note_run(self.cluster.name, run)
            with self._fenced(run, world, plan, observers):
                return do(Engine(world, [journal, *observers], interrupts, run=run))

    @contextmanager
    def _fenced(self, run: str, world: World, plan: Plan, observers: Iterable[Observer]) -> Iterator[None]:
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
