"""What the commands share that take masters or members of etcd away: look, show the plan, ask, run, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import confirm
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Plan

AllowEven = Annotated[bool, typer.Option("--allow-even", help="Let etcd end with an even number of voters.")]
DaemonSets = Annotated[
    bool,
    typer.Option("--ignore-daemonsets/--no-ignore-daemonsets", help="Let a DaemonSet's pods end with the node."),
]


def shrink(
    doing: str,
    cluster: str,
    prepare: Callable[[Session, Callable[[str], None]], Plan],
    *,
    plan: bool,
    yes: bool,
    output: Output,
) -> None:
    """Let ``prepare`` look, and do what it plans; ``doing`` is the command as others are told of it."""
    with reporting(doing.split(maxsplit=1)[0], output) as report:
        from scaler.app.session import opened, read_cluster
        from scaler.engine.lock import locked
        from scaler.ui import outcome as ending
        from scaler.ui import plan_view
        from scaler.ui.progress import Progress

        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        with locked(known.name, doing), opened(known) as session:
            wanted = prepare(session, report.say)
            if output is Output.text:
                plan_view.show(wanted, known.settings)
            run = None
            if not plan and not wanted.empty:
                confirm(report, yes=yes)
                run = session.run(wanted, [Progress(report)])
            error = None if plan else ending.error(run, {})
            report.result(ending.data(wanted, run, {}), lambda: ending.show(run), error)
