"""``scaler pool``: the pools of a cluster: a cloud's, or one's own machines'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.clouds import Verify, change, managed
from scaler.cli.options import Cluster, Format, PlanOnly, Yes
from scaler.cli.shrinking import DaemonSets, EmptyDir, Force, KeepCordon, Timeout, drain_of
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from scaler.ui.report import Report

Pool = Annotated[str, typer.Argument(metavar="POOL", help="The pool: its name or ID.")]

commands = typer.Typer(
    name="pool",
    help="The pools of a cluster: a cloud's, or one's own machines'.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("list", epilog="Example: scaler pool list --cluster prod-tke")
def list_pools(cluster: Cluster, output: Format = Output.text) -> None:
    """List the pools, as the cloud tells them now; of a binary cluster, those of its inventory and their nodes."""
    with reporting("pool list", output) as report:
        from scaler.app.cloud_session import CloudSession
        from scaler.app.inventories import read_managed
        from scaler.ui import pool_outcome

        known = read_managed(cluster)
        if known is None:
            _list_machines(report, cluster)
            return
        pools = CloudSession(known).cloud.pools()
        data = {"pools": [pool_outcome.row(pool) for pool in pools]}
        report.result(data, lambda: pool_outcome.show_pools(pools))


@commands.command(epilog="Example: scaler pool show web --cluster prod-tke")
def show(pool: Pool, cluster: Cluster, output: Format = Output.text) -> None:
    """Show one pool and its machines, also those that never became nodes, and why, or that wait on standby."""
    with reporting("pool show", output) as report:
        from scaler.app.cloud_session import CloudSession
        from scaler.app.inventories import read_managed
        from scaler.ui import pool_outcome

        known = read_managed(cluster)
        if known is None:
            _show_machines(report, cluster, pool)
            return
        session = CloudSession(known)
        found = session.find(pool)
        machines = session.cloud.instances(found)
        data = {**pool_outcome.row(found), "instances": [each.model_dump(mode="json") for each in machines]}
        report.result(data, lambda: pool_outcome.show_pool(found, machines))


def _list_machines(report: Report, cluster: str) -> None:
    from scaler.app import machine_pools
    from scaler.app.session import opened, read_cluster
    from scaler.ui import machine_pools_view

    with opened(read_cluster(cluster)) as session:
        pools = machine_pools.look(session)
    data = {"pools": [machine_pools_view.row(pool) for pool in pools]}
    report.result(data, lambda: machine_pools_view.show_pools(pools))


def _show_machines(report: Report, cluster: str, name: str) -> None:
    from scaler.app import machine_pools
    from scaler.app.session import opened, read_cluster
    from scaler.ui import machine_pools_view

    with opened(read_cluster(cluster)) as session:
        found = machine_pools.find(session, name)
    report.result(machine_pools_view.whole(found), lambda: machine_pools_view.show_pool(found))


@commands.command(epilog="Example: scaler pool create batch --like web --size 3 --cluster prod-tke")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new pool's name.")],
    cluster: Cluster,
    like: Annotated[str, typer.Option(metavar="POOL", help="The pool that it has everything else of.")],
    size: Annotated[int, typer.Option(min=0, help="Nodes of the whole pool.")],
    verify: Verify = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Make a pool like another one. Done is when its machines run and their nodes are Ready."""
    with reporting("pool create", output) as report:
        from scaler.app import pools as use_case

        known = managed(cluster)
        change(
            report,
            known,
            f"pool create {name}",
            lambda session: use_case.create(session, name, like=like, size=size, verify=verify),
            plan=plan,
            yes=yes,
        )


@commands.command(epilog="Example: scaler pool delete batch --cluster prod-tke --plan")
def delete(
    pool: Pool,
    cluster: Cluster,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: DaemonSets = True,
    keep_cordon: KeepCordon = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Delete a pool with its machines: all its nodes are closed and drained first."""
    with reporting("pool delete", output) as report:
        from scaler.app import pools as use_case

        known = managed(cluster)
        drain = drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        change(
            report,
            known,
            f"pool delete {pool}",
            lambda session: use_case.delete(session, pool, drain),
            plan=plan,
            yes=yes,
        )


@commands.command(epilog="Example: scaler pool autoscale web --min 2 --max 20 --cluster prod-tke")
def autoscale(
    pool: Pool,
    cluster: Cluster,
    least: Annotated[int | None, typer.Option("--min", min=0, help="The smallest size.")] = None,
    most: Annotated[int | None, typer.Option("--max", min=0, help="The biggest size.")] = None,
    off: Annotated[
        bool, typer.Option("--off", help="No autoscaler moves the pool; many clouds forget its bounds then.")
    ] = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Set between which sizes an autoscaler moves a pool; bounds that would change the size now are refused."""
    with reporting("pool autoscale", output) as report:
        from scaler.app import pools as use_case

        known = managed(cluster)
        change(
            report,
            known,
            f"pool autoscale {pool}",
            lambda session: use_case.autoscale(session, pool, low=least, high=most, off=off),
            plan=plan,
            yes=yes,
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)
