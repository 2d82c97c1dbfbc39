"""Runs as their journals tell them, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from scaler import steps
from scaler.app.runs import next_move
from scaler.engine.history import known_steps, left_half_way, taken_over
from scaler.errors import PartialError, ScalerError, StepError
from scaler.ui import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.rollback import Prepared
    from scaler.engine.history import Run
    from scaler.engine.run import Outcome


def data(run: Run, all_runs: Sequence[Run]) -> dict[str, Any]:
    """Return one line of the list."""
    return {
        "run": run.name,
        "began": run.began.isoformat() if run.began else None,
        "change": run.change,
        "hosts": list(run.hosts),
        "status": run.status,
        "job": run.job,
        "seconds": round(run.seconds, 3),
        "half_way": sorted(left_half_way(run, all_runs)),
        "resumes": run.plan.resumes if run.plan else "",
        "rolls_back": run.plan.rolls_back if run.plan else "",
        "taken_over": taken_over(run, all_runs),
        "problem": run.problem,
        "next": next_move(run, all_runs),
    }


def whole(run: Run, all_runs: Sequence[Run]) -> dict[str, Any]:
    """Return all that is known of one run."""
    return {
        **data(run, all_runs),
        "plan": run.plan.to_json() if run.plan else None,
        "failed": run.failed,
        "left": run.left,
        "facts": run.facts,
        "events": [event.model_dump(mode="json", exclude_defaults=True) for event in run.events],
    }


def show_list(listed: Sequence[Run], all_runs: Sequence[Run]) -> None:
    """Print the runs, a line each."""
    rows = [("run", "began (UTC)", "change", "hosts", "status", "seconds", "then")]
    for run in listed:
        began = f"{run.began:%Y-%m-%d %H:%M:%S}" if run.began else ""
        words = (run.name, began, run.change, " ".join(run.hosts), run.status, f"{run.seconds:.1f}")
        rows.append((*words, _then(run, all_runs)))
    # Not a table of rich's, which cuts names off where the terminal is narrow: they are there to be copied.
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in table.lines(rows):
        console.print(line)


def _then(run: Run, all_runs: Sequence[Run]) -> str:
    """Tell what the run is to others: which one it goes on with, which one went on with it."""
    kinds = {other.name: other for other in all_runs}
    told = []
    if run.plan and run.plan.resumes:
        told.append(f"resumes {run.plan.resumes}")
    if run.plan and run.plan.rolls_back:
        told.append(f"rolls back {run.plan.rolls_back}")
    for name in sorted(set(taken_over(run, all_runs).values()) if run.status != "done" else ()):
        plan = kinds[name].plan
        told.append(f"{'rolled back' if plan and plan.rolls_back == run.name else 'resumed'} by {name}")
    return ", ".join(told) or run.problem


def show(run: Run, all_runs: Sequence[Run]) -> None:
    """Print one run: its plan, what happened when, and what to do next."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"run {run.name}: {run.change} {' '.join(run.hosts)}: {run.status}", style="bold")
    then = _then(run, all_runs)
    if then:
        console.print(then)
    for number, spec in enumerate(run.plan.steps if run.plan else (), 1):
        console.print(f"{number:3}. {_title(spec.step)}: {', '.join(spec.hosts)}")
    for event in run.events:
        words = [event.kind, event.step, " ".join(event.hosts), event.message]
        if event.kind == "step-fact":
            words.append(" ".join(f"{key}={value}" for key, value in event.data.items()))
        console.print(f"{event.at:%H:%M:%S}  {'  '.join(filter(None, words))}", style="dim")
    for name, reason in run.failed.items():
        console.print(f"✗ {name}: {reason}", style="red")
    for name, reason in run.left.items():
        console.print(f"✗ {name}: left as it is: {reason}", style="red")
    move = next_move(run, all_runs)
    if move:
        console.print(f"next:  {move}")


def _title(step: str) -> str:
    return steps.find(step).title if step in known_steps() else step


def show_rollback(prepared: Prepared) -> None:
    """Print what a rollback will take back, in order, and who stays as it is."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"Plan: take back run {prepared.of.name} on cluster {prepared.plan.cluster}", style="bold")
    for run in prepared.earlier:
        console.print(f"  with what run {run} began there, with which it went on")
    for host in prepared.taken_back:
        told = [_title(step) for step in reversed(prepared.begun[host.name])]
        console.print(f"  host {host.name} ({host.address}): take back {', '.join(told)}")
    for name, why in prepared.keeps.items():
        console.print(f"  host {name} stays as it is: {why}", style="yellow")


def rollback_data(prepared: Prepared, outcome: Outcome | None) -> dict[str, Any]:
    """Return what a program wants to know of a rollback; without an outcome nothing was done."""
    return {
        "plan": prepared.plan.to_json(),
        "run": outcome.run if outcome else None,
        "rolls_back": prepared.of.name,
        "taken_back": list(outcome.made) if outcome else [],
        "left": dict(outcome.left if outcome else prepared.keeps),
        "waiting": [] if outcome else [host.name for host in prepared.taken_back],
        "changed": bool(outcome and outcome.made),
    }


def rollback_error(outcome: Outcome | None) -> ScalerError | None:
    """Return the error a rollback ends with, None where nothing of the run is left."""
    if outcome is None or not outcome.left:
        return None
    count = len(outcome.made) + len(outcome.left)
    reasons = "\n".join(f"{name}: left as it is: {why}" for name, why in outcome.left.items())
    kind = PartialError if outcome.made else StepError
    return kind(f"{len(outcome.made)} of {count} hosts were given back\n{reasons}", hint="scaler runs list tells more")


def show_given_back(outcome: Outcome | None) -> None:
    """Print the hosts that were given back."""
    if outcome:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.print(
            f"done: nothing of the run is left on {', '.join(outcome.made) or 'any host'} (run {outcome.run})"
        )
