"""``scaler scale``: a pool of a managed cluster, or the workers of a binary one and its pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.clouds import Autoscaler, Rollback, Verify, change
from scaler.cli.options import Cluster, Format, PlanOnly, Yes, perform, warn_of_unfinished
from scaler.cli.shrinking import DaemonSets, EmptyDir, Force, KeepCordon, Timeout, drain_of
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaler.app.scale_workers import How
    from scaler.ui.report import Report

_EPILOG = """Examples:

scaler scale --cluster prod-tke --pool web --to 10 --plan

scaler scale --cluster prod-tke --pool web --to +3 --verify --rollback

scaler scale --cluster prod-tke --pool web --to -2 --timeout 10m

scaler scale --cluster prod --workers 10

scaler scale --cluster prod --pool web --to +2 --partial"""


def scale(
    cluster: Cluster,
    pool: Annotated[str, typer.Option(help="The pool: its name, or on a managed cluster its ID.")] = "",
    to: Annotated[str, typer.Option(metavar="SIZE", help="Nodes of the whole pool: 10, or +3, or -2.")] = "",
    workers: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Of a binary cluster, without a pool: all its workers: 10, or +3, or -2."),
    ] = "",
    partial: Annotated[
        bool, typer.Option("--partial", help="Of a binary cluster: take what is on standby where that is too little.")
    ] = False,
    autoscaler: Autoscaler = None,
    rollback: Rollback = False,
    verify: Verify = False,
    provider_picks: Annotated[
        bool,
        typer.Option("--provider-picks", help="Ask for fewer only: the cloud ends what it likes, nothing is drained."),
    ] = False,
    timeout: Timeout = "300",
    force: Force = False,
    delete_emptydir_data: EmptyDir = False,
    ignore_daemonsets: DaemonSets = True,
    keep_cordon: KeepCordon = False,
    max_unavailable: Annotated[int, typer.Option(min=1, help="So many nodes are emptied at once.")] = 1,
    plan: PlanOnly = False,
    yes: Yes = False,
    output: Format = Output.text,
) -> None:
    """Change how many nodes a pool has, or a binary cluster. Done is when they are Ready, or gone.

    Fewer nodes: those that are not well leave first, then the newest, each drained before. A binary cluster takes its
    hosts from standby, failure domains spread and the healthiest first, and gives them back there, cleaned.

    Exit code 0: so it is. 2: some arrived, or some failed their checks. 4: too few hosts are fit, or a node may not
    leave. 5: out of bounds, or autoscaled. 15 to 21: the cloud's own reasons.
    """
    with reporting("scale", output) as report:
        from scaler.app import scale as of_clouds
        from scaler.app import scale_workers as of_hosts
        from scaler.app.inventories import read_managed

        drain = drain_of(
            timeout,
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            ignore_daemonsets=ignore_daemonsets,
            keep_cordon=keep_cordon,
        )
        known = read_managed(cluster)
        if known is None:
            clouds = {"--autoscaler": autoscaler, "--rollback": rollback, "--verify": verify}
            _must_not_say({**clouds, "--provider-picks": provider_picks}, f"{cluster} is a binary cluster")
            _has_one_size(pool, to, workers)
            how = of_hosts.How(partial, drain, max_unavailable)
            _hosts(report, cluster, pool or None, to or workers, how, plan=plan, yes=yes)
            return
        _must_not_say(
            {"--workers": workers, "--partial": partial}, f"cluster {known.name} is of kind {known.settings.kind}"
        )
        if not pool or not to:
            raise InputError("which pool is to have which size is not said", hint="say --pool POOL --to SIZE")
        of_pool = of_clouds.How(autoscaler or "", rollback, provider_picks, drain, max_unavailable, verify)
        change(
            report,
            known,
            f"scale {pool} {to}",
            lambda session: of_clouds.prepare(session, pool, to, of_pool, progress=report.say),
            plan=plan,
            yes=yes,
        )


def _must_not_say(options: Mapping[str, object], whose: str) -> None:
    """Refuse, by its name, an option that is for the other kind of cluster."""
    said = [option for option, value in options.items() if value]
    if said:
        raise InputError(f"{whose}, {' and '.join(said)} is not for it", hint="leave it out")


def _has_one_size(pool: str, to: str, workers: str) -> None:
    if bool(workers) == bool(pool or to) or bool(pool) != bool(to):
        raise InputError(
            "what is to have which size is not said, or said twice",
            hint="say --workers SIZE for all workers, or --pool POOL --to SIZE",
        )


def _hosts(report: Report, cluster: str, pool: str | None, size: str, how: How, *, plan: bool, yes: bool) -> None:
    from scaler.app import scale_workers as use_case
    from scaler.app.session import opened, read_cluster
    from scaler.engine.lock import locked
    from scaler.ui import sizing

    report.say(f"reading the inventory of {cluster}")
    known = read_cluster(cluster)
    with locked(known.name, f"scale {pool or 'workers'} {size}"), opened(known) as session:
        warn_of_unfinished(report, known.name)
        wanted = use_case.prepare(session, pool, size, how, progress=report.say)
        run = perform(report, session, wanted, known.settings, plan=plan, yes=yes)
        error = None if plan else sizing.error(wanted, run)
        report.result(sizing.data(wanted, run), lambda: sizing.show(wanted, run), error)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scale", epilog=_EPILOG, no_args_is_help=True)(scale)
