"""``scaler scale``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.clouds import Autoscaler, Rollback, Verify, change, managed
from scaler.cli.options import Cluster, Format, PlanOnly, Yes
from scaler.cli.shrinking import DaemonSets, EmptyDir, Force, KeepCordon, Timeout, drain_of
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler scale --cluster prod-tke --pool web --to 10 --plan

scaler scale --cluster prod-tke --pool web --to +3 --verify --rollback

scaler scale --cluster prod-tke --pool web --to -2 --timeout 10m"""


def scale(
    cluster: Cluster,
    pool: Annotated[str, typer.Option(help="The pool: its name or ID.")],
    to: Annotated[str, typer.Option(metavar="SIZE", help="Nodes of the whole pool: 10, or +3, or -2.")],
    autoscaler: Autoscaler = None,
    rollback: Rollback = False,
    verify: Verify = False,
    provider_picks: Annotated[
        bool,
        typer.Option("--provider-picks", help="Ask for fewer only: the cloud ends what it likes, nothing is drained."),
    ] = False,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: DaemonSets = True,
    keep_cordon: KeepCordon = False,
    max_unavailable: Annotated[int, typer.Option(min=1, help="So many nodes are emptied at once.")] = 1,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Change the size of a managed cluster's pool. Done is when its machines run and their nodes are Ready.

    Fewer nodes: those that are not well leave first, then the newest, each drained before.

    Exit code 0: so it is. 2: some arrived, or some failed their checks. 5: out of bounds, or autoscaled. 15 to 21: the
    cloud's own reasons.
    """
    with reporting("scale", output) as report:
        from scaler.app import scale as use_case

        known = managed(cluster)
        drain = drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        how = use_case.How(autoscaler or "", rollback, provider_picks, drain, max_unavailable, verify)
        change(
            report,
            known,
            f"scale {pool} {to}",
            lambda session: use_case.prepare(session, pool, to, how, progress=report.say),
            plan=plan,
            yes=yes,
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scale", epilog=_EPILOG, no_args_is_help=True)(scale)
