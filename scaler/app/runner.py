"""Run plans on one cluster, hosts' or a cloud's: journalled, with the cluster's Lease held."""

from __future__ import annotations

import secrets
import socket
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from scaler.engine import chains, history, lock
from scaler.engine.events import Event
from scaler.engine.interrupts import Interrupts
from scaler.engine.journal import Journal, journalled
from scaler.engine.lease import Lease, held
from scaler.engine.run import Engine, Outcome
from scaler.gateways.process import alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scaler.engine.chains import Before
    from scaler.engine.events import Observer
    from scaler.gateways.clock import Clock
    from scaler.gateways.kube import Kube
    from scaler.gateways.lease import Held
    from scaler.plan.plan import AnyPlan
    from scaler.steps.world import AnyWorld


class Runner(Protocol):
    """The doors to one cluster, through which its plans are run."""

    clock: Clock

    @property
    def name(self) -> str:
        """The cluster's name."""

    @property
    def lease_seconds(self) -> int:
        """How long a Lease holds that is not renewed."""

    @property
    def kube(self) -> Kube:
        """The API."""

    def world(self, plan: AnyPlan, run: str = "") -> AnyWorld:
        """Return what the steps of ``plan`` act in; without a run's name, one to look at only."""

    def run(self, plan: AnyPlan, observers: Iterable[Observer]) -> Outcome:
        """Run ``plan``, journalled, with the cluster's Lease held, and go on with what earlier runs left half-way.

        Raises LockedError where another controller changes the cluster.
        """
        run = new_run_id(self.clock.now())
        world = self.world(plan, run)
        before = chains.before(plan, history.runs(self.name) if plan.can_roll_back else ())
        before.remind(world)
        return self.journalled(plan, run, world, observers, Engine.run, before)

    def journalled(
        self,
        plan: AnyPlan,
        run: str,
        world: AnyWorld,
        observers: Iterable[Observer],
        act: Callable[[Engine], Outcome],
        before: Before | None = None,
    ) -> Outcome:
        """Let an engine ``act`` in ``world``, with journal and Lease."""
        observers, interrupts = tuple(observers), Interrupts()
        with interrupts.listening(), closing(Journal(self.name, run)) as journal:
            lock.note_run(self.name, run)
            with self._fenced(plan, run, world, observers):
                return act(Engine(world, [journal, *observers], interrupts, run=run, before=before))

    @contextmanager
    def _fenced(self, plan: AnyPlan, run: str, world: AnyWorld, observers: Iterable[Observer]) -> Iterator[None]:
        """Hold the Lease, and let the engine ask it, but where there is no API that keeps one."""
        if plan.without_api:
            yield
            return
        names = " ".join(host.name for host in plan.hosts)
        holder = lock.this_process(f"{plan.change} {names}", self.clock.now(), run)
        seconds = self.lease_seconds
        lease = Lease(self.kube, self.clock, self.name, holder, seconds)

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
        ours = holder.host == socket.gethostname() and holder.run in journalled(self.name)
        return ours and not alive(holder.pid)


def new_run_id(now: datetime) -> str:
    """Return a run's name: its time in UTC, and four letters so that two never meet."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
