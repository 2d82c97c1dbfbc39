"""Run a plan's steps in order; a host that fails is undone and left out, the others go on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaler import steps
from scaler.engine.chains import Before, in_order
from scaler.engine.events import Event
from scaler.engine.history import VERSION
from scaler.engine.interrupts import Interrupts
from scaler.engine.undo import has_something_to_take_back, take_back
from scaler.errors import AbortedError, ScalerError
from scaler.plan.plan import StepSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from scaler.engine.events import Kind, Observer
    from scaler.model.inventory import Subject
    from scaler.plan.plan import AnyPlan
    from scaler.steps.world import AnyWorld, Failures

# As for hosts in preflight; slewing by an NTP client stays far below.
JUMP_SECONDS = 2.0


@dataclass
class Outcome:
    """How a run ended: the hosts that made it, those that did not and why, and what could not be taken back.

    ``waiting`` are hosts that were never begun, or not to their end; ``later`` names what could not be reached and does
    not stop a run, like one worker's own balancer. ``causes`` are the errors themselves, where a step ended with one.
    """

    run: str
    made: tuple[str, ...]
    failed: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    causes: dict[str, ScalerError] = field(default_factory=dict)


class Engine:
    """Runs one plan in one world, and tells its observers.

    An observer's ScalerError ends the run, as that of a journal on a full disk. One that breaks in any other way, like
    a display whose terminal is gone, is not told any more, and the run goes on. What runs ``before`` this one began on
    its hosts is taken back with its own, but where it may be past the step from which nothing is.
    """

    def __init__(
        self,
        world: AnyWorld,
        observers: Iterable[Observer],
        interrupts: Interrupts | None = None,
        *,
        run: str = "",
        before: Before | None = None,
    ) -> None:
        self._world = world
        # A rollback acts in the world of the run that it takes back, and is a run of its own.
        self._run = run or world.run
        self._observers = list(observers)
        self.interrupts = interrupts or Interrupts()
        # Reentrant, since a signal may come while an event is being told.
        self._telling = threading.RLock()
        self._failed: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._causes: dict[str, ScalerError] = {}
        self._begun: list[StepSpec] = []
        self._before = before or Before()
        self._committed = self._before.committed()
        self._seconds: dict[str, float] = {}
        self._clock = self._offset()
        self._tells = 0
        self._to_say = ""

    def run(self) -> Outcome:
        """Run every step; failures of hosts are in the outcome, an interruption undoes nothing and is raised."""
        plan = self._world.plan
        with self._telling_how_it_ends(plan, plan.next_moves(self._run)):
            for spec in plan.steps:
                if self.interrupts.count:
                    raise AbortedError(f"stopped in order before step {spec.step} of run {self._run}")
                if not self._step(plan, spec):
                    break
        return self._ended(self._made())

    def roll_back(self, plan: AnyPlan, begun: Mapping[str, Sequence[str]], keeps: Mapping[str, str]) -> Outcome:
        """Take back the steps that an earlier run has ``begun`` for each host, but for hosts that something ``keeps``.

        Here a host that made it is one on which nothing of the earlier run is left.
        """
        self._begun = [StepSpec(step=step, hosts=(name,)) for name, told in begun.items() for step in told]
        self._committed = dict(keeps)
        with self._telling_how_it_ends(plan, f"scaler runs rollback {plan.rolls_back} goes on"):
            for host in plan.hosts:
                if self.interrupts.count:
                    raise AbortedError(f"stopped in order before {host.name}, in run {self._run}")
                self._clock_must_be_steady()
                self._undo(host)
        self._failed = dict(self._left)
        return self._ended(tuple(host.name for host in plan.hosts if host.name not in self._left))

    @contextmanager
    def _telling_how_it_ends(self, plan: AnyPlan, hint: str) -> Iterator[None]:
        """Tell the beginning, and the end where it is not the outcome's; ``hint`` says how to go on."""
        names = [host.name for host in plan.hosts]
        self._tell("run-started", hosts=names, data=plan.to_json(), version=VERSION)
        try:
            with self.interrupts.listening(), self.interrupts.abortable(self._interrupted):
                yield
        except ScalerError as e:
            status = "stopped" if isinstance(e, AbortedError) else "failed"
            self._tell("run-ended", message=e.message, data={"status": status})
            e.hint = f"{e.hint}; {hint}" if e.hint else hint
            raise
        except KeyboardInterrupt:
            self._tell("run-ended", message="aborted by a second interruption", data={"status": "aborted"})
            raise AbortedError(f"aborted in the middle of run {self._run}", hint=hint) from None

    def _ended(self, made: tuple[str, ...]) -> Outcome:
        outcome = Outcome(
            run=self._run,
            made=made,
            failed=self._failed,
            left=self._left,
            seconds=self._seconds,
            measures=self._world.measures,
            later=self._world.later,
            waiting=self._waiting(),
            causes=self._causes,
        )
        status, message = ("failed", "some hosts failed") if self._failed else ("done", "done")
        self._tell("run-ended", hosts=outcome.made, message=message, data={"status": status})
        return outcome

    def _made(self) -> tuple[str, ...]:
        """Return the hosts that have been through all their steps."""
        plan = self._world.plan
        if self._failed and plan.on_failure in {"stop", "undo-all"}:
            return ()
        out = {*self._waiting(), *self._failed}
        return tuple(host.name for host in plan.hosts if host.name not in out)

    def _waiting(self) -> tuple[str, ...]:
        """Return the hosts that have steps before them which were never begun."""
        if self._failed and self._world.plan.on_failure == "undo-all":
            return ()
        ahead = {name for spec in self._world.plan.steps if spec not in self._begun for name in spec.hosts}
        return tuple(host.name for host in self._world.plan.hosts if host.name in ahead - set(self._failed))

    def _step(self, plan: AnyPlan, spec: StepSpec) -> bool:
        """Run one step for the hosts that are still in; tell whether the run goes on."""
        hosts = [plan.named(name) for name in spec.hosts if name not in self._failed]
        if not hosts:
            return bool(not spec.hosts or set(self._failed) < {host.name for host in plan.hosts})
        names = [host.name for host in hosts]
        self._clock_must_be_steady()
        self._world.fence()
        self._tell("step-intent", spec.step, names)
        self._hears(spec.step, names)
        self._begun.append(spec)
        began = self._world.clock.monotonic()
        failures = self._apply(spec, hosts)
        took = self._world.clock.monotonic() - began
        self._seconds[spec.step] = self._seconds.get(spec.step, 0.0) + took
        for name, reason in failures.items():
            self._failed[name] = reason
            self._tell("host-failed", spec.step, [name], reason)
        for name in self._given_back(plan, failures):
            self._undo(plan.named(name))
        why = steps.find(spec.step).commits
        if why:
            self._committed |= dict.fromkeys(set(names) - set(failures), why)
        self._tell("step-done", spec.step, [name for name in names if name not in failures])
        return not failures or plan.on_failure == "isolate"

    def _given_back(self, plan: AnyPlan, failures: Iterable[str]) -> list[str]:
        """Return the hosts that are taken out again where some failed."""
        failed = list(failures)
        if plan.on_failure == "undo-all" and failed:
            return [host.name for host in plan.hosts]
        return [] if plan.on_failure == "stop" else failed

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

    def _apply(self, spec: StepSpec, hosts: Sequence[Subject]) -> Failures:
        try:
            return steps.find(spec.step).apply(self._world, hosts)
        except ScalerError as e:
            reason = f"{e.message} ({e.hint})" if e.hint else e.message
            self._causes |= {host.name: e for host in hosts}
            return {host.name: reason for host in hosts}

    def _undo(self, host: Subject) -> None:
        """Take back, last step first, what was begun on ``host``; stop at what cannot be taken back and say so."""
        if host.name in self._committed:
            self._left[host.name] = self._committed[host.name]
            self._tell("host-left", hosts=[host.name], message=self._left[host.name])
            return
        own = (spec.step for spec in self._begun if host.name in spec.hosts)
        begun = in_order(self._before.begun(host.name), own)
        if not has_something_to_take_back(begun):
            return
        self._world.fence()

        def begins(step: str) -> None:
            self._tell("undo-intent", step, [host.name])
            self._hears(step, [host.name])

        step, why = take_back(self._world, host, begun, begins)
        if step:
            self._left[host.name] = f"{why}; its node, if it has one, stays cordoned; the next run goes on"
            self._tell("host-left", step, [host.name], self._left[host.name])
        else:
            self._tell("host-undone", hosts=[host.name])

    def _hears(self, step: str, names: Sequence[str]) -> None:
        """Let what the step says and notes be told as its own."""
        self._world.say = lambda message: self._tell("step-progress", step, names, message)
        self._world.note = lambda data: self._tell("step-fact", step, names, data=data)

    def _tell(
        self,
        kind: Kind,
        step: str = "",
        hosts: Sequence[str] = (),
        message: str = "",
        data: dict[str, Any] | None = None,
        version: int = 0,
    ) -> None:
        event = Event(
            kind=kind,
            at=self._world.clock.now(),
            run=self._run,
            step=step,
            hosts=tuple(hosts),
            message=message,
            data=data or {},
            version=version,
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
