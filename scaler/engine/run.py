"""Run a plan's steps in order; a host that fails is undone and left out, the others go on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaler import steps
from scaler.engine.events import Event
from scaler.engine.interrupts import Interrupts
from scaler.errors import AbortedError, ScalerError
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.engine.events import Kind, Observer
    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan, StepSpec
    from scaler.steps.base import Failures, World

# As for hosts in preflight; slewing by an NTP client stays far below.
JUMP_SECONDS = 2.0
GO_ON = "run the same command again: it looks at what is there and goes on from it"


@dataclass
class Outcome:
    """How a run ended: the hosts that made it, those that did not and why, and what could not be taken back.

    ``waiting`` are hosts that were never begun, or not to their end; ``later`` names what could not be reached and does
    not stop a run, like one worker's own balancer.
    """

    run: str
    made: tuple[str, ...]
    failed: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()


class Engine:
    """Runs one plan in one world, and tells its observers.

    An observer's ScalerError ends the run, as that of a journal on a full disk. One that breaks in any other way, like
    a display whose terminal is gone, is not told any more, and the run goes on.
    """

    def __init__(self, world: World, observers: Iterable[Observer], interrupts: Interrupts | None = None) -> None:
        self._world = world
        self._observers = list(observers)
        self.interrupts = interrupts or Interrupts()
        # Reentrant, since a signal may come while an event is being told.
        self._telling = threading.RLock()
        self._failed: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._begun: list[StepSpec] = []
        self._committed: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._clock = self._offset()
        self._tells = 0
        self._to_say = ""

    def run(self) -> Outcome:
        """Run every step; failures of hosts are in the outcome, an interruption undoes nothing and is raised."""
        plan = self._world.plan
        self._tell("run-started", hosts=[host.name for host in plan.hosts], data=plan.to_json())
        try:
            with self.interrupts.listening(), self.interrupts.abortable(self._interrupted):
                for spec in plan.steps:
                    if self.interrupts.count:
                        raise AbortedError(
                            f"stopped in order before step {spec.step} of run {self._world.run}", hint=GO_ON
                        )
                    if not self._step(plan, spec):
                        break
        except ScalerError as e:
            self._tell("run-ended", message=e.message)
            raise
        except KeyboardInterrupt:
            self._tell("run-ended", message="aborted by a second interruption")
            raise AbortedError(f"aborted in the middle of run {self._world.run}", hint=GO_ON) from None
        outcome = Outcome(
            run=self._world.run,
            made=self._made(),
            failed=self._failed,
            left=self._left,
            seconds=self._seconds,
            measures=self._world.measures,
            later=self._world.later,
            waiting=self._waiting(),
        )
        self._tell("run-ended", hosts=outcome.made, message="done" if not self._failed else "some hosts failed")
        return outcome

    def _made(self) -> tuple[str, ...]:
        """Return the hosts that have been through all their steps."""
        plan = self._world.plan
        if self._failed and plan.on_failure == "stop":
            return ()
        out = {*self._waiting(), *self._failed}
        return tuple(host.name for host in plan.hosts if host.name not in out)

    def _waiting(self) -> tuple[str, ...]:
        """Return the hosts that have steps before them which were never begun."""
        ahead = {name for spec in self._world.plan.steps if spec not in self._begun for name in spec.hosts}
        return tuple(host.name for host in self._world.plan.hosts if host.name in ahead - set(self._failed))

    def _step(self, plan: Plan, spec: StepSpec) -> bool:
        """Run one step for the hosts that are still in; tell whether the run goes on."""
        hosts = [plan.host(name) for name in spec.hosts if name not in self._failed]
        if not hosts:
            return bool(not spec.hosts or set(self._failed) < {host.name for host in plan.hosts})
        names = [host.name for host in hosts]
        self._clock_must_be_steady()
        self._world.fence()
        self._tell("step-intent", spec.step, names)
        self._world.say = lambda message: self._tell("step-progress", spec.step, names, message)
        self._world.note = lambda data: self._tell("step-fact", spec.step, names, data=data)
        self._begun.append(spec)
        began = self._world.clock.monotonic()
        failures = self._apply(spec, hosts)
        took = self._world.clock.monotonic() - began
        self._seconds[spec.step] = self._seconds.get(spec.step, 0.0) + took
        for name, reason in failures.items():
            self._failed[name] = reason
            self._tell("host-failed", spec.step, [name], reason)
        for name in failures if plan.on_failure != "stop" else ():
            self._undo(plan.host(name))
        why = steps.find(spec.step).commits
        if why:
            self._committed |= dict.fromkeys(set(names) - set(failures), why)
        self._tell("step-done", spec.step, [name for name in names if name not in failures])
        return not failures or plan.on_failure == "isolate"

    def _interrupted(self) -> None:
        """Say that the run stops before its next step; what is just being told is told to its end first."""
        message = "interrupted: the step that runs is finished first; interrupt again to abort at once"
        if self._tells:
            self._to_say = message
        else:
            self._world.say(message)

    def _offset(self) -> float:
        return self._world.clock.now().timestamp() - self._world.clock.monotonic()

    def _clock_must_be_steady(self) -> None:
        """Stop where this machine's clock jumped: certificates, tokens and leases made since would be wrong."""
        jump = self._offset() - self._clock
        if abs(jump) > JUMP_SECONDS:
            raise ScalerError(
                f"this machine's clock jumped by {jump:+.0f} s during the run; nothing more is done",
                hint="let time settle (chronyc tracking), then run the same command again",
            )

    def _apply(self, spec: StepSpec, hosts: Sequence[Host]) -> Failures:
        try:
            return steps.find(spec.step).apply(self._world, hosts)
        except ScalerError as e:
            reason = f"{e.message} ({e.hint})" if e.hint else e.message
            return {host.name: reason for host in hosts}

    def _undo(self, host: Host) -> None:
        """Take back, last step first, what was begun on ``host``; stop at what cannot be taken back and say so."""
        if host.name in self._committed:
            self._left[host.name] = self._committed[host.name]
            self._tell("host-left", hosts=[host.name], message=self._left[host.name])
            return
        self._world.fence()
        begun = [spec for spec in reversed(self._begun) if host.name in spec.hosts]
        if all(isinstance(steps.find(spec.step), Irreversible) for spec in begun):
            return
        for spec in begun:
            try:
                steps.find(spec.step).undo(self._world, host)
            except ScalerError as e:
                self._left[host.name] = f"{e.message}; its node, if it has one, stays cordoned; the next run goes on"
                self._tell("host-left", spec.step, [host.name], self._left[host.name])
                return
        self._tell("host-undone", hosts=[host.name])

    def _tell(
        self,
        kind: Kind,
        step: str = "",
        hosts: Sequence[str] = (),
        message: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        event = Event(
            kind=kind,
            at=self._world.clock.now(),
            run=self._world.run,
            step=step,
            hosts=tuple(hosts),
            message=message,
            data=data or {},
        )
        with self._telling:
            self._tells += 1
            try:
                for observer in tuple(self._observers):
                    self._hear(observer, event)
            finally:
                self._tells -= 1
        if self._to_say and not self._tells:
            message, self._to_say = self._to_say, ""
            self._world.say(message)

    def _hear(self, observer: Observer, event: Event) -> None:
        try:
            observer.hear(event)
        except ScalerError:
            raise
        except (Exception, SystemExit):  # noqa: BLE001 - rich ends the program where nobody reads what it prints
            self._observers.remove(observer)
