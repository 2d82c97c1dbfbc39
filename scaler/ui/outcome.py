"""How a run ended, as data and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as RichTable

from scaler.errors import PartialError, ScalerError, StepError
from scaler.plan.equality import Table

if TYPE_CHECKING:
    from scaler.engine.run import Outcome
    from scaler.plan.plan import Plan


def data(plan: Plan, outcome: Outcome | None, refused: dict[str, str]) -> dict[str, Any]:
    """Return what a program wants to know of a run; without an outcome nothing had to be done."""
    made = outcome.made if outcome else ()
    return {
        "plan": plan.to_json(),
        "run": outcome.run if outcome else None,
        "added": [name for name in made if plan.makes and (not plan.leaves or name in plan.joins)],
        "removed": [name for name in made if plan.leaves and name not in plan.joins],
        "present": list(plan.present),
        "failed": {**refused, **(outcome.failed if outcome else {})},
        "left": outcome.left if outcome else {},
        "seconds": {name: round(value, 3) for name, value in outcome.seconds.items()} if outcome else {},
        "measures": outcome.measures if outcome else {},
        "later": outcome.later if outcome else {},
        "changed": bool(outcome and outcome.made),
        **({} if plan.makes else {"prefetched": list(made)}),
    }


def error(outcome: Outcome | None, refused: dict[str, str]) -> ScalerError | None:
    """Return the error a run ends with, None where every host made it."""
    failed = {**refused, **(outcome.failed if outcome else {})}
    if not failed:
        return None
    left = outcome.left if outcome else {}
    reasons = [f"{name}: {reason}" for name, reason in failed.items()]
    reasons += [f"{name}: left as it is: {reason}" for name, reason in left.items()]
    made, waiting = (outcome.made, outcome.waiting) if outcome else ((), ())
    reasons += [f"{name}: not begun, since the run stopped before it" for name in waiting]
    count = len(made) + len(failed) + len(waiting)
    again = f"repair {', '.join(failed)}, then run the same command again: it finishes what is missing"
    if made:
        return PartialError(f"{len(made)} of {count} hosts made it\n" + "\n".join(reasons), hint=again)
    return StepError(f"0 of {count} hosts made it\n" + "\n".join(reasons), hint=again)


def show(outcome: Outcome | None) -> None:
    """Print the hosts that made it."""
    if outcome and outcome.made:
        seconds = sum(outcome.seconds.values())
        Console(highlight=False, soft_wrap=True).print(
            f"done: {', '.join(outcome.made)} ({seconds:.1f} s, run {outcome.run})", markup=False
        )
    if outcome and "sets" in outcome.measures:
        _show_sets(Table.model_validate(outcome.measures["sets"]))
    for name, why in (outcome.later if outcome else {}).items():
        Console(highlight=False, soft_wrap=True).print(f"later: {name}: {why}", markup=False, style="yellow")


def _show_sets(table: Table) -> None:
    """Print which host is in which set; in a cluster that is well all rows of a kind are alike."""
    grid = RichTable("set", *table.hosts, box=SIMPLE, pad_edge=False)
    for row in table.rows:
        grid.add_row(row.title, *("✓" if host in row.hosts else "" for host in table.hosts))
    grid.add_row("learners of etcd", str(table.learners))
    Console(highlight=False).print(grid)
