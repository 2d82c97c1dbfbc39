"""``scaler remove-master``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes
from scaler.cli.shrinking import (
    AllowEven,
    DaemonSets,
    Dead,
    EmptyDir,
    Force,
    KeepCordon,
    Names,
    Timeout,
    drain_of,
    shrink,
)
from scaler.ui.report import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Plan

_EPILOG = """Examples:

scaler remove-master m3 --cluster prod --allow-even --plan

scaler remove-master m2 m3 --cluster prod

scaler remove-master m2 --cluster prod --dead --allow-even --yes"""


def remove_master(
    nodes: Names,
    cluster: Cluster,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: DaemonSets = True,
    keep_cordon: KeepCordon = False,
    allow_even: AllowEven = False,
    dead: Dead = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Take masters away, one after the other: VIP, load balancers, pods, control plane, leader, member, host.

    No write of the cluster fails meanwhile. The last one never leaves, and none where those that stay would be no
    quorum. Until its member is taken out of etcd everything can be taken back; then the same command goes on.

    Exit code 0: all are gone. 4: not fit to be removed. 5: the change is unsafe. 9: a step failed.
    """
    from scaler.app import remove_master as use_case

    def prepare(session: Session, progress: Callable[[str], None]) -> Plan:
        drain = drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        return use_case.prepare(session, nodes, drain=drain, allow_even=allow_even, dead=dead, progress=progress)

    shrink(f"remove-master {' '.join(nodes)}", cluster, prepare, plan=plan, yes=yes, output=output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("remove-master", epilog=_EPILOG, no_args_is_help=True)(remove_master)
