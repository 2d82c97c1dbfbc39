"""``scaler remove-node``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scaler.cli.clouds import Autoscaler, change
from scaler.cli.options import Cluster, Format, PlanOnly, Yes
from scaler.cli.shrinking import Dead, EmptyDir, Force, KeepCordon, Names, Timeout, drain_of, shrink
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.plan.plan import Drain, Plan
    from scaler.ui.report import Report

_EPILOG = """Examples:

scaler remove-node n2 n3 --cluster prod --plan

scaler remove-node n2 n3 --cluster prod --timeout 10m --max-unavailable 2 --ignore-daemonsets

scaler remove-node n2 --cluster prod --to-standby

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
    to_standby: Annotated[
        bool,
        typer.Option("--to-standby", help="The hosts wait for work again, and keep what makes the next join quick."),
    ] = False,
    autoscaler: Autoscaler = None,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Take workers away: pods moved by eviction, volumes detached, node deleted, host given back as it was.

    On a managed cluster: this very machine is ended, and its pool's size goes down.

    Exit code 0: all are gone. 2: some are, some are not. 4: not fit to be removed, nothing was touched.
    """
    from scaler.app.inventories import read_managed

    def drain() -> Drain:
        return drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )

    def prepare(session: Session, progress: Callable[[str], None]) -> Plan:
        # What opens hosts is imported for a cluster that has some.
        from scaler.app import remove_node as use_case

        return use_case.prepare(
            session,
            nodes,
            drain=drain(),
            max_unavailable=max_unavailable,
            dead=dead,
            to_standby=to_standby,
            progress=progress,
        )

    with reporting("remove-node", output) as report:
        known = read_managed(cluster)
        if known is not None:
            if to_standby:
                raise InputError("--to-standby is for hosts of binary clusters", hint="leave it out")
            how = (drain(), max_unavailable, autoscaler or "", dead)
            _fewer(report, known, nodes, how=how, plan=plan, yes=yes)
            return
    shrink(f"remove-node {' '.join(nodes)}", cluster, prepare, plan=plan, yes=yes, output=output)


def _fewer(
    report: Report,
    known: CloudCluster,
    nodes: list[str],
    *,
    how: tuple[Drain, int, Literal["", "keep", "pin", "disable"], bool],
    plan: bool,
    yes: bool,
) -> None:
    from scaler.app import cloud_removal

    drain, max_unavailable, autoscaler, dead = how
    if dead:
        raise InputError(
            "--dead is for hosts of binary clusters", hint="leave it out: the cloud ends a machine as it is"
        )
    change(
        report,
        known,
        f"remove-node {' '.join(nodes)}",
        lambda session: cloud_removal.prepare(
            session, nodes, drain, max_unavailable=max_unavailable, autoscaler=autoscaler, progress=report.say
        ),
        plan=plan,
        yes=yes,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("remove-node", epilog=_EPILOG, no_args_is_help=True)(remove_node)
