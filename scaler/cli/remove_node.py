"""``scaler remove-node``."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes, confirm
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler remove-node n2 n3 --cluster prod --plan

scaler remove-node n2 n3 --cluster prod --timeout 10m --max-unavailable 2 --ignore-daemonsets

scaler remove-node n4 --cluster prod --dead --yes"""
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """Return the seconds of 300, 300s, 5m or 1h."""
    told = re.fullmatch(r"([1-9]\d{0,6})([smh]?)", text)
    if not told:
        raise InputError(f"--timeout {text}: not a duration", hint="300, 300s, 5m or 1h")
    return int(told[1]) * _UNITS[told[2]]


Names = Annotated[list[str], typer.Argument(metavar="NODE...", help="Names of the nodes.")]
Timeout = Annotated[str, typer.Option(help="How long one node's pods may take to move: 300, 300s, 5m.")]
Force = Annotated[bool, typer.Option("--force", help="End bare pods, which nobody starts anew.")]
EmptyDir = Annotated[
    bool, typer.Option("--delete-emptydir-data", help="Move pods whose data is on the node, which is lost.")
]
DaemonSets = Annotated[bool, typer.Option("--ignore-daemonsets", help="Let a DaemonSet's pods end with the node.")]
KeepCordon = Annotated[bool, typer.Option("--keep-cordon", help="Leave a node closed that could not be emptied.")]
Dead = Annotated[bool, typer.Option("--dead", help="The hosts are gone for good: proven, and never contacted.")]


def remove_node(
    nodes: Names,
    cluster: Cluster,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: DaemonSets = False,
    keep_cordon: KeepCordon = False,
    max_unavailable: Annotated[int, typer.Option(min=1, help="So many nodes are emptied at once.")] = 1,
    dead: Dead = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Take workers away: pods moved by eviction, volumes detached, node deleted, host given back as it was.

    Exit code 0: all are gone. 2: some are, some are not. 4: not fit to be removed, nothing was touched.
    """
    with reporting("remove-node", output) as report:
        from scaler.app import remove_node as use_case
        from scaler.app.session import opened, read_cluster
        from scaler.engine.lock import locked
        from scaler.plan.plan import Drain
        from scaler.ui import outcome as ending
        from scaler.ui import plan_view
        from scaler.ui.progress import Progress

        drain = Drain(
            timeout=seconds(timeout),
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        with locked(known.name, f"remove-node {' '.join(nodes)}"), opened(known) as session:
            wanted = use_case.prepare(
                session, nodes, drain=drain, max_unavailable=max_unavailable, dead=dead, progress=report.say
            )
            if output is Output.text:
                plan_view.show(wanted, known.settings)
            run = None
            if not plan and not wanted.empty:
                confirm(report, yes=yes)
                run = session.run(wanted, [Progress(report)])
            error = None if plan else ending.error(run, {})
            report.result(ending.data(wanted, run, {}), lambda: ending.show(run), error)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("remove-node", epilog=_EPILOG, no_args_is_help=True)(remove_node)
