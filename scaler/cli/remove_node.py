"""``scaler remove-node``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes
from scaler.cli.shrinking import Dead, EmptyDir, Force, KeepCordon, Names, Timeout, drain_of, shrink
from scaler.ui.report import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Plan

_EPILOG = """Examples:

scaler remove-node n2 n3 --cluster prod --plan

scaler remove-node n2 n3 --cluster prod --timeout 10m --max-unavailable 2 --ignore-daemonsets

scaler remove-node n4 --cluster prod --dead --yes"""


def remove_node(
    nodes: Names,
    cluster: Cluster,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: Annotated[
        bool, typer.Option("--ignore-daemonsets", help="Let a DaemonSet's pods end with the node.")
    ] = False,
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
    from scaler.app import remove_node as use_case

    def prepare(session: Session, progress: Callable[[str], None]) -> Plan:
        drain = drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        return use_case.prepare(
            session, nodes, drain=drain, max_unavailable=max_unavailable, dead=dead, progress=progress
        )

    shrink(f"remove-node {' '.join(nodes)}", cluster, prepare, plan=plan, yes=yes, output=output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("remove-node", epilog=_EPILOG, no_args_is_help=True)(remove_node)
