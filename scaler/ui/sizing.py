"""How a change of a number of workers ended, as data and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from scaler.errors import PartialError, ScalerError
from scaler.ui import outcome as ending

if TYPE_CHECKING:
    from scaler.engine.run import Outcome
    from scaler.plan.plan import Plan


def data(plan: Plan, outcome: Outcome | None) -> dict[str, Any]:
    """Return what a program wants to know: as of add-node and remove-node, and the number that was asked for."""
    sizing = plan.sizing
    return {
        **ending.data(plan, outcome, {}),
        "pool": sizing.pool if sizing else None,
        "size": sizing.wanted if sizing else None,
        "before": sizing.before if sizing else None,
        "short": sizing.short if sizing else 0,
        "passed_over": sizing.passed_over if sizing else {},
    }


def error(plan: Plan, outcome: Outcome | None) -> ScalerError | None:
    """Return the error a run ends with; one that was to bring fewer than were asked for is partial at best."""
    told, sizing = ending.error(outcome, {}), plan.sizing
    if sizing is None or not sizing.short or outcome is None or not outcome.made:
        return told
    lines = [
        f"{sizing.told} has {sizing.before + len(outcome.made)} of the {sizing.wanted} workers that were asked for"
    ]
    lines += [f"{name}: passed over: {why}" for name, why in sizing.passed_over.items()]
    lines += [told.message] if told else []
    return PartialError("\n".join(lines), hint="put more hosts on standby, then run the same command again")


def show(plan: Plan, outcome: Outcome | None) -> None:
    """Print what was done."""
    if plan.empty and plan.sizing:
        Console(highlight=False, soft_wrap=True).print(
            f"{plan.sizing.told} has {plan.sizing.before} workers already: nothing to do", markup=False
        )
    ending.show(outcome)
