"""A plan for a person to read: what each host gets, in order, and what is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from scaler import steps

if TYPE_CHECKING:
    from scaler.plan.plan import AnyPlan


def show(plan: AnyPlan, settings: object) -> None:
    """Print ``plan`` to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    for name in plan.present:
        console.print(f"{name} is {_there(plan)} already: nothing to do")
    for warning in plan.warnings:
        console.print(f"warning: {warning}", markup=False, style="yellow")
    if plan.empty:
        return
    console.print(f"Plan: {plan.change} on cluster {plan.cluster}", style="bold", markup=False)
    for host in plan.hosts:
        console.print(f"  {host.told}", markup=False)
    told = set()
    for number, spec in enumerate(plan.steps, 1):
        step = steps.find(spec.step)
        console.print(f"{number:3}. {step.title}: {', '.join(spec.hosts)}", markup=False)
        # The second master's steps are the first one's.
        for line in step.describe(plan, settings) if spec.step not in told else ():
            console.print(f"       {line}", markup=False, style="dim")
        told.add(spec.step)
    if plan.untouched:
        console.print(f"Not touched: {plan.untouched}", markup=False)


def _there(plan: AnyPlan) -> str:
    return "absent" if plan.leaves else "prefetched" if plan.change == "prefetch" else "there"
