"""``scaler runs``: what was done to a cluster, and what to do about a run that did not end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes, confirm
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.runner import Runner
    from scaler.engine import history
    from scaler.engine.run import Outcome
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.plan.plan import AnyPlan
    from scaler.ui.report import Report

P = TypeVar("P", bound="AnyPlan")
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or the beginning of it that no other run has.")]

commands = typer.Typer(
    name="runs",
    help="What was done to a cluster; go on with a run that did not end, or take it back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("list", epilog="Example: scaler runs list --cluster prod --unfinished")
def list_runs(
    cluster: Cluster,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only runs that left hosts half-way, which no later run took over.")
    ] = False,
    output: Format = Output.text,
) -> None:
    """List the runs on a cluster that this machine's journals know, the newest first. Nothing is contacted."""
    with reporting("runs list", output) as report:
        from scaler.app.session import read_any
        from scaler.engine import history
        from scaler.ui import runs_view

        all_runs = history.runs(read_any(cluster).name)
        listed = (history.unfinished(all_runs) if unfinished else all_runs)[::-1]
        data = {"runs": [runs_view.data(run, all_runs) for run in listed]}
        report.result(data, lambda: runs_view.show_list(listed, all_runs))


@commands.command(epilog="Example: scaler runs show 20260301-0200 --cluster prod")
def show(run: Run, cluster: Cluster, output: Format = Output.text) -> None:
    """Show one run: its plan, what happened when, which hosts failed and why, what to do next. Nothing is contacted."""
    with reporting("runs show", output) as report:
        from scaler.app.session import read_any
        from scaler.engine import history
        from scaler.ui import runs_view

        all_runs = history.runs(read_any(cluster).name)
        found = history.find(all_runs, run)
        report.result(runs_view.whole(found, all_runs), lambda: runs_view.show(found, all_runs))


@commands.command(epilog="Example: scaler runs resume --cluster prod")
def resume(
    cluster: Cluster,
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="The run; without it, the one that is unfinished.")] = "",
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Go on with a run that did not end: look at what is there, plan what is missing, and do that as a new run.

    Exit codes are those of the command that the run was.
    """
    with reporting("runs resume", output) as report:
        from scaler.app import runs as use_case
        from scaler.app.session import opened, read_any
        from scaler.engine.lock import locked
        from scaler.model.cloud_cluster import CloudCluster
        from scaler.ui import outcome as ending

        known = read_any(cluster)
        if isinstance(known, CloudCluster):
            _resume_pools(report, known, run, plan=plan, yes=yes)
            return
        with locked(known.name, f"runs resume {run}".rstrip()), opened(known) as session:
            look = partial(use_case.resumed, session, progress=report.say)
            wanted, outcome = _go_on(report, session, run, look, known.settings, plan=plan, yes=yes)
            error = ending.error(outcome, {})
            report.result(ending.data(wanted, outcome, {}), lambda: ending.show(outcome), error)


def _resume_pools(report: Report, known: CloudCluster, name: str, *, plan: bool, yes: bool) -> None:
    from scaler.app import cloud_runs
    from scaler.cli.clouds import working
    from scaler.ui import pool_outcome

    with working(report, known, f"runs resume {name}".rstrip()) as session:
        look = partial(cloud_runs.resumed, session, progress=report.say)
        wanted, outcome = _go_on(report, session, name, look, known.settings, plan=plan, yes=yes)
        error = pool_outcome.error(outcome)
        report.result(pool_outcome.data(wanted, outcome), lambda: pool_outcome.show(outcome), error)


def _go_on(
    report: Report,
    session: Runner,
    name: str,
    look: Callable[[history.Run, Sequence[history.Run]], P],
    settings: object,
    *,
    plan: bool,
    yes: bool,
) -> tuple[P, Outcome | None]:
    """Let ``look`` plan what is missing of the run, show it, ask, and do it as a new run; return both."""
    from scaler.app import runs as use_case
    from scaler.engine import history
    from scaler.ui import plan_view
    from scaler.ui.progress import Progress

    all_runs = history.runs(session.name)
    old = use_case.to_resume(all_runs, name)
    report.say(f"run {old.name}: {old.change} {' '.join(old.hosts)}, {old.status}")
    wanted = look(old, all_runs)
    if report.output is Output.text:
        plan_view.show(wanted, settings)
    outcome = None
    if not plan:
        _confirm(report, yes=yes, empty=wanted.empty)
        outcome = session.run(wanted, [Progress(report)])
    if wanted.empty:
        report.say(f"nothing of run {old.name} is missing")
    return wanted, outcome


def _confirm(report: Report, *, yes: bool, empty: bool) -> None:
    """Ask, unless nothing is missing: then only the journal notes that the old run is settled."""
    if not empty:
        confirm(report, yes=yes)


@commands.command(epilog="Example: scaler runs rollback 20260301-020000-1f3c --cluster prod")
def rollback(
    run: Run,
    cluster: Cluster,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Take back what a run did, and only that; a host that joined, votes, takes pods or is another run's stays.

    Exit code 0: nothing of the run is left. 2: some hosts stay as they are. 9: all do.
    """
    with reporting("runs rollback", output) as report:
        from scaler.app import rollback as use_case
        from scaler.app.session import opened, read_cluster
        from scaler.engine import history
        from scaler.engine.lock import locked
        from scaler.ui import runs_view
        from scaler.ui.progress import Progress

        known = read_cluster(cluster)
        with locked(known.name, f"runs rollback {run}"), opened(known) as session:
            all_runs = history.runs(known.name)
            found = history.find(all_runs, run)
            ready = use_case.prepare(session, found, all_runs, progress=report.say)
            if output is Output.text:
                runs_view.show_rollback(ready)
            outcome = None
            if not plan:
                _confirm(report, yes=yes, empty=not ready.taken_back)
                outcome = use_case.roll_back(session, ready, [Progress(report)])
            data = runs_view.rollback_data(ready, outcome)
            report.result(data, lambda: runs_view.show_given_back(outcome), runs_view.rollback_error(outcome))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)
