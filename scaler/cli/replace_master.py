"""``scaler replace-master``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.given import given_host
from scaler.cli.options import Cluster, Format, Key, Name, PlanOnly, SshPort, User, Yes
from scaler.cli.shrinking import DaemonSets, Dead, EmptyDir, Force, KeepCordon, Timeout, drain_of, shrink
from scaler.ui.report import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Plan

_EPILOG = """Examples:

scaler replace-master m2 m4 --cluster prod --plan

scaler replace-master m2 m4 --cluster prod --dead --yes"""


def replace_master(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The master that leaves.")],
    new: Annotated[str, typer.Argument(metavar="HOST", help="The host that comes: its name, or an address.")],
    cluster: Cluster,
    name: Name = "",
    user: User = "root",
    port: SshPort = 22,
    key: Key = None,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: DaemonSets = True,
    keep_cordon: KeepCordon = False,
    dead: Dead = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Replace a master by another, as one plan: the healing of a lost one, or the end of an old one.

    With --dead the old one leaves first, proven gone and never contacted. Otherwise the new one serves before the old
    one leaves, so that there are never fewer.

    Exit code 0: done. 4: a host or the cluster is not fit. 5: the change is unsafe. 9: a step failed.
    """
    from scaler.app import replace_master as use_case
    from scaler.app.add_node import choose

    def prepare(session: Session, progress: Callable[[str], None]) -> Plan:
        drain = drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        whole = given_host([new], name=name, user=user, port=port, key=key)
        chosen = choose(session.cluster, [] if whole else [new], [whole] if whole else [], to_be="master")
        return use_case.prepare(session, old, chosen[0], drain=drain, dead=dead, progress=progress)

    shrink(f"replace-master {old} {new}", cluster, prepare, plan=plan, yes=yes, output=output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replace-master", epilog=_EPILOG, no_args_is_help=True)(replace_master)
