"""``scaler init``."""

from __future__ import annotations

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes, confirm, warn_of_unfinished
from scaler.ui.report import Output, reporting

_EPILOG = """Example: scaler init --cluster lab"""


def init(cluster: Cluster, plan: PlanOnly = False, yes: Yes = False, output: Format = Output.text) -> None:
    """Make a cluster's first master, its etcd and its load balancers, out of an inventory.

    What is made already is kept, so it can be run again after a failure.
    """
    with reporting("init", output) as report:
        from scaler.app import init as use_case
        from scaler.app.session import opened, read_cluster
        from scaler.engine.lock import locked
        from scaler.ui import outcome as ending
        from scaler.ui import plan_view
        from scaler.ui.progress import Progress

        known = read_cluster(cluster)
        with locked(known.name, "init"), opened(known) as session:
            warn_of_unfinished(report, known.name)
            wanted = use_case.prepare(session, progress=report.say)
            if output is Output.text:
                plan_view.show(wanted, known.settings)
            run = None
            if not plan:
                confirm(report, yes=yes)
                run = session.run(wanted, [Progress(report)])
            report.result(ending.data(wanted, run, {}), lambda: ending.show(run), ending.error(run, {}))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", epilog=_EPILOG)(init)
