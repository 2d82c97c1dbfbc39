"""``scaler add-node``."""

from __future__ import annotations

from typing import Annotated

import typer

from scaler.cli.options import (
    Cluster,
    Format,
    Hosts,
    Key,
    Name,
    PlanOnly,
    SshPort,
    User,
    Yes,
    carry_out,
    warn_of_unfinished,
)
from scaler.ui.report import Output, reporting

_EPILOG = """Examples:

scaler add-node n2 n3 n4 --cluster prod

scaler add-node n2 n3 --cluster prod --plan

scaler add-node 10.0.0.17 --name n7 --user ops --key ~/.ssh/ops --cluster prod --yes"""


def add_node(
    hosts: Hosts,
    cluster: Cluster,
    name: Name = "",
    user: User = "root",
    port: SshPort = 22,
    key: Key = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Add the fit hosts though others are refused.")
    ] = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Add workers: examined, planned, joined in one batch, proven by running work, then written to the inventory.

    Exit code 0: all are there. 2: some made it, some did not. 4: a host is not fit, nothing was touched.
    """
    with reporting("add-node", output) as report:
        from scaler.app import add_node as use_case
        from scaler.app.session import opened, read_cluster
        from scaler.cli.given import given_host
        from scaler.engine.lock import locked

        new = given_host(hosts, name=name, user=user, port=port, key=key)
        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        chosen = use_case.choose(known, [] if new else hosts, [new] if new else [])
        with locked(known.name, f"add-node {' '.join(h.name for h in chosen)}"), opened(known) as session:
            warn_of_unfinished(report, known.name)
            ready = use_case.prepare(session, chosen, keep_going=keep_going, progress=report.say)
            carry_out(report, session, ready.plan, plan=plan, yes=yes, refused=ready.refused)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("add-node", epilog=_EPILOG, no_args_is_help=True)(add_node)
