"""Read journals: which runs there were, how each ended, and which hosts one left half-way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scaler import steps
from scaler.engine.chains import chains
from scaler.engine.events import Event
from scaler.engine.journal import is_open, lines, runs_dir
from scaler.engine.undo import has_something_to_take_back
from scaler.errors import InputError
from scaler.plan.plan import AnyPlan, Plan
from scaler.plan.pool_plan import PoolPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

VERSION = 1
"""The form of the journals that this scaler writes, and goes on with."""

ROLLBACK = "rollback"


@dataclass(frozen=True)
class Run:
    """One run as its journal tells it; ``problem`` says what of the journal is not understood."""

    name: str
    events: tuple[Event, ...]
    plan: AnyPlan | None = None
    problem: str = ""
    going: bool = False

    @cached_property
    def order(self) -> tuple[str, str]:
        """Return what runs are put in order by."""
        return (self.began.isoformat() if self.began else "", self.name)

    @property
    def began(self) -> datetime | None:
        """Return when it began."""
        return self.events[0].at if self.events else None

    @property
    def seconds(self) -> float:
        """Return how long it took, as far as it has told."""
        return (self.events[-1].at - self.events[0].at).total_seconds() if self.events else 0.0

    @property
    def change(self) -> str:
        """Return the change, as the command is called."""
        return str((self.plan.change if self.plan else self._first.get("change")) or "?")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names of the plan's hosts."""
        return self.events[0].hosts if self.events else ()

    @property
    def job(self) -> str:
        """Return the scheduled job that began it, empty where a person did."""
        return self.events[0].job if self.events else ""

    @property
    def _first(self) -> dict[str, Any]:
        return self.events[0].data if self.events else {}

    @property
    def status(self) -> str:
        """Return running, done, failed, stopped, aborted, interrupted (killed), or unreadable."""
        if self.going:
            return "running"
        if not self.events:
            return "unreadable"
        ended = next((event for event in reversed(self.events) if event.kind == "run-ended"), None)
        if ended is None:
            return "interrupted"
        return str(ended.data.get("status") or ("done" if ended.message == "done" else "failed"))

    @cached_property
    def begun(self) -> dict[str, tuple[str, ...]]:
        """Return the steps that were begun for each host, in order."""
        return self._steps("step-intent")

    @cached_property
    def completed(self) -> dict[str, tuple[str, ...]]:
        """Return the steps that succeeded for each host, in order."""
        return self._steps("step-done")

    def _steps(self, kind: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for event in self.events:
            for host in event.hosts if event.kind == kind else ():
                found[host] = (*found.get(host, ()), event.step)
        return found

    @cached_property
    def finished(self) -> set[str]:
        """Return the hosts that have been through all their steps."""
        plan = self.plan
        if plan is None:
            return set()
        wanted = {name: tuple(spec.step for spec in plan.steps if name in spec.hosts) for name in self.hosts}
        return {name for name in self.hosts if self.completed.get(name, ()) == wanted[name]}

    @cached_property
    def undone(self) -> set[str]:
        """Return the hosts on which everything was taken back; of a rollback those that it was done with."""
        told = {host for event in self.events if event.kind == "host-undone" for host in event.hosts}
        if self.change == ROLLBACK and self.events[-1].kind == "run-ended":
            told |= set(self.events[-1].hosts)
        return told

    @property
    def failed(self) -> dict[str, str]:
        """Return the hosts that failed, and why."""
        return self._told("host-failed")

    @property
    def left(self) -> dict[str, str]:
        """Return the hosts where something was not taken back, and why."""
        return self._told("host-left")

    def _told(self, kind: str) -> dict[str, str]:
        return {host: event.message for event in self.events if event.kind == kind for host in event.hosts}

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Return what its steps noted."""
        return [event.data for event in self.events if event.kind == "step-fact"]

    @cached_property
    def half_way(self) -> set[str]:
        """Return the hosts that it neither finished nor gave back; a run that failed has none that it never began.

        This tells of the one run; what an earlier one left, with which it went on, ``chains`` tells.
        """
        if self.plan is None or self.going or self.change == ROLLBACK:
            return set()
        hosts = set(self.hosts) - self.finished - self.undone
        if self.status != "failed":
            return hosts
        return {name for name in hosts if name in self.begun and not self._left_no_trace(name)}

    def _left_no_trace(self, name: str) -> bool:
        """Tell whether the failed host had only steps before it failed that have nothing to take back."""
        gives_back = self.plan is not None and self.plan.on_failure != "stop"
        kept = has_something_to_take_back([step for step in self.begun[name] if step in known_steps()])
        return gives_back and name in self.failed and name not in self.left and not kept

    def has_to_take_back(self, host: str) -> set[str]:
        """Return the steps it began on ``host`` of which there may be something to take back."""
        known = known_steps()
        return {step for step in self.begun.get(host, ()) if step not in known or has_something_to_take_back([step])}

    def takes_back(self, host: str) -> set[str]:
        """Return the steps that it began to take back on ``host``."""
        return {event.step for event in self.events if event.kind == "undo-intent" and host in event.hosts}

    def must_be_understood(self) -> AnyPlan:
        """Return the plan; raises InputError where the journal is not this scaler's to go on with."""
        again = "run the command that it was again: it looks at what is there"
        if self.plan is None or self.problem:
            raise InputError(f"run {self.name}: {self.problem or 'its journal has no plan'}", hint=again)
        version = self.events[0].version
        if version != VERSION:
            raise InputError(
                f"run {self.name}: its journal has form {version}, this scaler goes on with form {VERSION} only",
                hint=again,
            )
        unknown = sorted({spec.step for spec in self.plan.steps} - known_steps())
        if unknown:
            raise InputError(f"run {self.name}: this scaler has no step {', '.join(unknown)}", hint=again)
        return self.plan


def known_steps() -> set[str]:
    """Return the names of all steps there are."""
    return {module.name for module in iter_modules(steps.__path__)}


def runs(cluster: str) -> list[Run]:
    """Return all runs on ``cluster``, oldest first; one whose journal is not understood is there too."""
    found = [read(path) for path in sorted(runs_dir(cluster).glob("*.jsonl"))]
    return sorted(found, key=lambda run: run.order)


def read(path: Path) -> Run:
    """Read one journal; a last line that a crash tore off is dropped."""
    name = path.stem
    try:
        going, told = is_open(path), lines(path)
    except OSError as e:
        return Run(name, (), problem=f"{path} cannot be read: {e.strerror}")
    events: list[Event] = []
    problem = ""
    for number, line in enumerate(told, 1):
        try:
            events.append(Event.model_validate(json.loads(line)))
        except ValueError:
            if number < len(told) or line.endswith("}"):
                problem = problem or f"{path}: line {number} is not understood"
    if not events or events[0].kind != "run-started":
        return Run(name, tuple(events), problem=problem or f"{path} has no beginning", going=going)
    try:
        plan = (PoolPlan if "wants" in events[0].data else Plan).model_validate(events[0].data)
    except ValidationError as e:
        where = ".".join(str(part) for part in e.errors()[0]["loc"])
        return Run(name, tuple(events), problem=f"{path}: its plan is of another scaler ({where})", going=going)
    return Run(name, tuple(events), plan, problem, going)


def find(all_runs: Sequence[Run], name: str) -> Run:
    """Return the run called ``name``, or the only one whose name begins with it."""
    fitting = [run for run in all_runs if run.name == name] or [run for run in all_runs if run.name.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(f"several runs begin with {name}: {', '.join(run.name for run in fitting)}")
    raise InputError(f"there is no run {name}", hint="scaler runs list shows them")


def taken_over(run: Run, all_runs: Sequence[Run]) -> dict[str, str]:
    """Return the hosts of ``run`` that a later run began, or took back for it, with that run's name.

    A later run that took back what it had begun there, and no more, leaves them to this one.
    """
    found: dict[str, str] = {}
    for later in all_runs:
        if later.order <= run.order or later.plan is None:
            continue
        if later.change == ROLLBACK:
            mine = set()
            if later.plan.rolls_back == run.name:
                mine = set(run.hosts) if later.status == "done" else later.undone
        else:
            mine = set(run.hosts) if later.plan.resumes == run.name else set(later.begun)
        found |= {host: later.name for host in run.hosts if host in mine}
    for host, chain in chains(all_runs, run.hosts).items():
        if chain[-1].name == run.name:
            found.pop(host, None)
        elif any(each.name == run.name for each in chain):
            found[host] = chain[-1].name
    return found


def left_half_way(run: Run, all_runs: Sequence[Run]) -> set[str]:
    """Return the hosts that are half-way by now and ``run``'s to go on with, or to take back."""
    found = chains(all_runs, run.hosts) if run.hosts and not run.going else {}
    return {host for host, chain in found.items() if chain[-1].name == run.name}


def unfinished(all_runs: Sequence[Run]) -> list[Run]:
    """Return the runs that left hosts half-way which no later run took over."""
    last = {chain[-1].name for chain in chains(all_runs).values()}
    return [run for run in all_runs if run.name in last and not run.going]
