"""``scaler prefetch``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes, perform, warn_of_unfinished
from scaler.errors import PartialError
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler prefetch --cluster prod

scaler prefetch --pool web --cluster prod --plan

scaler prefetch n2 n3 --cluster prod --yes"""


def prefetch(
    cluster: Cluster,
    hosts: Annotated[
        list[str], typer.Argument(metavar="[HOST...]", help="Names of hosts; all on standby without.")
    ] = [],  # noqa: B006 - never changed
    pool: Annotated[str, typer.Option(help="Only hosts of this pool.")] = "",
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Bring binaries and images to hosts on standby ahead of time, so that joining takes them seconds.

    Exit code 0: all have them. 2: some could not be reached, or failed. 4: none could be reached.
    """
    with reporting("prefetch", output) as report:
        from scaler.app import prefetch as use_case
        from scaler.app.session import opened, read_cluster
        from scaler.engine.lock import locked
        from scaler.ui import outcome as ending

        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        chosen = use_case.choose(known, hosts, pool or None)
        with locked(known.name, f"prefetch {' '.join(host.name for host in chosen)}"), opened(known) as session:
            warn_of_unfinished(report, known.name)
            ready = use_case.prepare(session, chosen, progress=report.say)
            run = perform(report, session, ready.plan, known.settings, plan=plan, yes=yes)
            error = None if plan else ending.error(run, ready.refused)
            if error is not None and ready.plan.present:
                # Those that have everything already are well.
                error = PartialError(error.message, hint=error.hint)
            report.result(ending.data(ready.plan, run, ready.refused), lambda: ending.show(run), error)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prefetch", epilog=_EPILOG)(prefetch)
