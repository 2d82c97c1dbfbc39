"""``scaler add-node``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.clouds import Autoscaler, Rollback, Verify, change
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
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from scaler.app.scale import How
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.ui.report import Report

_EPILOG = """Examples:

scaler add-node n2 n3 n4 --cluster prod

scaler add-node n2 n3 --cluster prod --plan

scaler add-node 10.0.0.17 --name n7 --user ops --key ~/.ssh/ops --cluster prod --yes

scaler add-node --pool web --count 3 --cluster prod-tke"""


def add_node(
    cluster: Cluster,
    hosts: Hosts = [],  # noqa: B006 - never changed
    name: Name = "",
    user: User = "root",
    port: SshPort = 22,
    key: Key = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Add the fit hosts though others are refused.")
    ] = False,
    pool: Annotated[str, typer.Option(help="Of a managed cluster: the pool that gets more nodes.")] = "",
    count: Annotated[int, typer.Option(min=1, help="Of a managed cluster: how many more.")] = 1,
    autoscaler: Autoscaler = None,
    rollback: Rollback = False,
    verify: Verify = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Add workers: examined, planned, joined in one batch, proven by running work, then written to the inventory.

    On a managed cluster: let a pool have more nodes, as scale does.

    Exit code 0: all are there. 2: some made it, some did not. 4: a host is not fit, nothing was touched.
    """
    with reporting("add-node", output) as report:
        from scaler.app.inventories import read_managed

        found = read_managed(cluster)
        if found is not None:
            from scaler.app import scale as use_scale

            how = use_scale.How(autoscaler or "", rollback, verify=verify)
            _more(report, found, hosts, pool, count, how, plan=plan, yes=yes)
            return
        if pool or not hosts:
            raise InputError(
                "name the hosts that become workers"
                if not pool
                else f"{cluster} is a binary cluster, --pool is not for it",
                hint="scaler add-node n2 n3 --cluster prod; scaler scale picks hosts on standby itself",
            )
        # What opens hosts is imported for a cluster that has some.
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


def _more(
    report: Report,
    known: CloudCluster,
    hosts: list[str],
    pool: str,
    count: int,
    how: How,
    *,
    plan: bool,
    yes: bool,
) -> None:
    from scaler.app import scale as use_case

    if hosts or not pool:
        raise InputError(
            f"cluster {known.name} is of kind {known.settings.kind}: its machines are the cloud's to make",
            hint="say --pool POOL --count N; scaler pool list shows the pools",
        )
    change(
        report,
        known,
        f"add-node --pool {pool} --count {count}",
        lambda session: use_case.prepare(session, pool, f"+{count}", how, progress=report.say),
        plan=plan,
        yes=yes,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("add-node", epilog=_EPILOG, no_args_is_help=True)(add_node)
