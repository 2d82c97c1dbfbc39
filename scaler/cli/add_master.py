"""``scaler add-master``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scaler.cli.options import Cluster, Format, PlanOnly, Yes, confirm
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler add-master m2 m3 --cluster prod --plan

scaler add-master m2 m3 --cluster prod

scaler add-master 10.0.0.12 --name m2 --cluster prod --allow-even --yes"""


def add_master(
    hosts: Annotated[list[str], typer.Argument(metavar="HOST...", help="Names in the inventory, or one address.")],
    cluster: Cluster,
    name: Annotated[str, typer.Option(help="The node's name, where HOST is an address.")] = "",
    user: Annotated[str, typer.Option(help="SSH user, where HOST is an address.")] = "root",
    port: Annotated[int, typer.Option(help="SSH port, where HOST is an address.")] = 22,
    key: Annotated[Path | None, typer.Option(help="SSH private key, where HOST is an address.")] = None,
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
    with reporting("add-master", output) as report:
        from scaler.app import add_master as use_case
        from scaler.app.add_node import choose
        from scaler.app.session import opened, read_cluster
        from scaler.cli.given import given_host
        from scaler.engine.lock import locked
        from scaler.ui import outcome as ending
        from scaler.ui import plan_view
        from scaler.ui.progress import Progress

        new = given_host(hosts, name=name, user=user, port=port, key=key)
        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        chosen = choose(known, [] if new else hosts, [new] if new else [], to_be="master")
        with locked(known.name, f"add-master {' '.join(h.name for h in chosen)}"), opened(known) as session:
            ready = use_case.prepare(session, chosen, allow_even=allow_even, progress=report.say)
            if output is Output.text:
                plan_view.show(ready, known.settings)
            run = None
            if not plan and not ready.empty:
                confirm(report, yes=yes)
                run = session.run(ready, [Progress(report)])
            error = None if plan else ending.error(run, {})
            report.result(ending.data(ready, run, {}), lambda: ending.show(run), error)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("add-master", epilog=_EPILOG, no_args_is_help=True)(add_master)
