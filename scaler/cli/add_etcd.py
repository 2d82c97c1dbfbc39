"""``scaler add-etcd``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.given import given_host
from scaler.cli.growing import grow
from scaler.cli.options import Cluster, Format, Hosts, Key, Name, PlanOnly, SshPort, User, Yes
from scaler.ui.report import Output

_EPILOG = """Examples:

scaler add-etcd e2 e3 --cluster prod --plan

scaler add-etcd e2 e3 --cluster prod"""


def add_etcd(
    hosts: Hosts,
    cluster: Cluster,
    name: Name = "",
    user: User = "root",
    port: SshPort = 22,
    key: Key = None,
    allow_even: Annotated[
        bool, typer.Option("--allow-even", help="Let etcd end with an even number of voters.")
    ] = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Add members to an etcd on hosts of its own, one at a time, then tell the API servers.

    For clusters whose masters have a member each, scaler add-master does it. Until a host votes, a failure takes
    everything back; afterwards the same command goes on from what is there.

    Exit code 0: all are there. 4: a host or the cluster is not fit. 5: the change is unsafe. 9: a step failed.
    """
    from scaler.app import add_etcd as use_case

    grow(
        "add-etcd",
        hosts,
        cluster,
        use_case.prepare,
        to_be="etcd member",
        new=lambda: given_host(hosts, name=name, user=user, port=port, key=key),
        allow_even=allow_even,
        plan=plan,
        yes=yes,
        output=output,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("add-etcd", epilog=_EPILOG, no_args_is_help=True)(add_etcd)
