"""``scaler remove-etcd``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes
from scaler.cli.shrinking import AllowEven, Dead, Names, shrink
from scaler.ui.report import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Plan

_EPILOG = """Examples:

scaler remove-etcd e4 e5 --cluster prod --plan

scaler remove-etcd e2 --cluster prod --dead --allow-even --yes"""


def remove_etcd(
    nodes: Names,
    cluster: Cluster,
    allow_even: AllowEven = False,
    dead: Dead = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Take members out of an etcd on hosts of its own, one at a time: API servers' lists, leader, member, host.

    The last one never leaves, and none where those that stay would be no quorum. For clusters whose masters have a
    member each, scaler remove-master does it.

    Exit code 0: all are gone. 4: not fit to be removed. 5: the change is unsafe. 9: a step failed.
    """
    from scaler.app import remove_etcd as use_case

    def prepare(session: Session, progress: Callable[[str], None]) -> Plan:
        return use_case.prepare(session, nodes, allow_even=allow_even, dead=dead, progress=progress)

    shrink(f"remove-etcd {' '.join(nodes)}", cluster, prepare, plan=plan, yes=yes, output=output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("remove-etcd", epilog=_EPILOG, no_args_is_help=True)(remove_etcd)
