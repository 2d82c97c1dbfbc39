"""``scaler add-master``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.clouds import change
from scaler.cli.given import given_host
from scaler.cli.growing import grow
from scaler.cli.options import Cluster, Format, Hosts, Key, Name, PlanOnly, SshPort, User, Yes
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler add-master m2 m3 --cluster prod --plan

scaler add-master m2 m3 --cluster prod

scaler add-master 10.0.0.12 --name m2 --cluster prod --allow-even --yes"""


def add_master(
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
    """Add masters, one at a time: rehearsed while all can be taken back, then promoted, put behind the load balancers.

    From one master to three is one change: give both hosts. No write of the living cluster fails meanwhile. Until a
    host votes in etcd, a failure takes everything back; afterwards the same command goes on from what is there.

    Exit code 0: all are there. 4: a host or the cluster is not fit. 5: the change is unsafe. 9: a step failed.
    """
    from scaler.app.inventories import read_managed

    with reporting("add-master", output) as report:
        known = read_managed(cluster)
        if known is not None:
            from scaler.app import pools

            change(
                report,
                known,
                f"add-master {' '.join(hosts)}",
                lambda session: pools.add_masters(session, hosts, allow_even=allow_even),
                plan=plan,
                yes=yes,
            )
            return

    # What opens hosts is imported for a cluster that has some.
    from scaler.app import add_master as use_case

    grow(
        "add-master",
        hosts,
        cluster,
        use_case.prepare,
        to_be="master",
        new=lambda: given_host(hosts, name=name, user=user, port=port, key=key),
        allow_even=allow_even,
        plan=plan,
        yes=yes,
        output=output,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("add-master", epilog=_EPILOG, no_args_is_help=True)(add_master)
