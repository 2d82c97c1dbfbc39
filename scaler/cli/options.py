"""Options that several commands share, and what each does with its plan: show, ask, run, tell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaler.errors import AbortedError, InputError
from scaler.ui.report import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaler.app.runner import Runner
    from scaler.app.session import Session
    from scaler.engine.run import Outcome
    from scaler.plan.plan import AnyPlan, Plan
    from scaler.ui.report import Report

Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        "-c",
        envvar="SCALER_CLUSTER",
        help="The cluster: a name under an inventories directory, or a path.",
    ),
]
Hosts = Annotated[list[str], typer.Argument(metavar="HOST...", help="Names in the inventory, or one address.")]
Name = Annotated[str, typer.Option(help="The node's name, where HOST is an address.")]
User = Annotated[str, typer.Option(help="SSH user, where HOST is an address.")]
SshPort = Annotated[int, typer.Option(help="SSH port, where HOST is an address.")]
Key = Annotated[Path | None, typer.Option(help="SSH private key, where HOST is an address.")]
Format = Annotated[Output, typer.Option("--output", "-o", help="text for people, json or jsonl for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can answer.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Show what would be done, change nothing.")]


def warn_of_unfinished(report: Report, cluster: str) -> None:
    """Tell that an earlier run is unfinished; it is no reason to refuse, since every command looks at what is there."""
    from scaler.app.runs import warning

    told = warning(cluster)
    if told:
        report.say(f"warning: {told}")


def confirm(report: Report, *, yes: bool) -> None:
    """Ask once before anything is changed; without a terminal, --yes is the only yes."""
    if yes:
        return
    if not sys.stdin.isatty() or report.output is not Output.text:
        raise InputError("nobody can be asked here", hint="say --yes, or look first with --plan")
    if not typer.confirm("Do this?"):
        raise AbortedError("not done: you said no")


def carry_out(
    report: Report,
    session: Session,
    wanted: Plan,
    *,
    plan: bool,
    yes: bool,
    refused: Mapping[str, str] | None = None,
) -> None:
    """Show what is ``wanted``, ask, do it unless only the ``plan`` was asked for, and end with what came of it.

    ``refused`` are hosts that are not in it, and why.
    """
    from scaler.ui import outcome as ending

    run = perform(report, session, wanted, session.cluster.settings, plan=plan, yes=yes)
    others = dict(refused or {})
    error = None if plan else ending.error(run, others)
    report.result(ending.data(wanted, run, others), lambda: ending.show(run), error)


def perform(
    report: Report, session: Runner, wanted: AnyPlan, settings: object, *, plan: bool, yes: bool
) -> Outcome | None:
    """Show what is ``wanted``, ask, and do it; None where nothing was to be done, or only the ``plan`` asked for."""
    from scaler.ui import plan_view
    from scaler.ui.progress import Progress

    if report.output is Output.text:
        plan_view.show(wanted, settings)
    if plan or wanted.empty:
        return None
    confirm(report, yes=yes)
    return session.run(wanted, [Progress(report)])
