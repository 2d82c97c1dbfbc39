"""``scaler job``: what a cluster's scheduled jobs are, run one, and let systemd run them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import Cluster, Format, PlanOnly
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from scaler.gateways.units import Manager

Name = Annotated[str, typer.Argument(metavar="NAME", help="The job, as jobs.yaml calls it.")]
OneOrAll = Annotated[str, typer.Argument(metavar="[NAME]", help="The job; without it, all.")]
Own = Annotated[bool, typer.Option("--user", help="Your own systemd's units, in place of the machine's.")]
Directory = Annotated[
    Path | None, typer.Option(help="Write the units there, and leave systemd alone; for images and packages.")
]


class Printed(StrEnum):
    """What --print knows."""

    crontab = "crontab"


commands = typer.Typer(
    name="job",
    help="Scheduled jobs of a cluster, as jobs.yaml beside its inventory has them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@commands.command("list", epilog="Example: scaler job list --cluster prod")
def list_jobs(cluster: Cluster, output: Format = Output.text) -> None:
    """List the jobs: when each is due next, and how it ended last. Nothing is contacted."""
    with reporting("job list", output) as report:
        from scaler.app import jobs
        from scaler.gateways.clock import SystemClock
        from scaler.ui import jobs_view

        known, now = jobs.read(cluster), SystemClock().now()
        rows = [jobs_view.row(known, named, now) for named in known.jobs.named()]
        report.result({"cluster": known.cluster, "jobs": rows}, lambda: jobs_view.show_list(rows))


@commands.command(epilog="Example: scaler job show night-down --cluster prod")
def show(name: Name, cluster: Cluster, output: Format = Output.text) -> None:
    """Show one job: its command, guards and next times, in words. Nothing is contacted."""
    with reporting("job show", output) as report:
        from scaler.app import jobs
        from scaler.gateways.clock import SystemClock
        from scaler.ui import jobs_view

        known, now = jobs.read(cluster), SystemClock().now()
        data = jobs_view.whole(known, known.find(name), now)
        report.result(data, lambda: jobs_view.show(data))


@commands.command(epilog="Example: scaler job run night-down --cluster prod")
def run(
    name: Name,
    cluster: Cluster,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="Said by timers: a time that a clock shows twice is run once.")
    ] = False,
    output: Format = Output.text,
) -> None:
    """Run a job now, as its timer does: window, guards, its own unfinished run first, then the action; then tell.

    Exit code 0: done. 5: a guard refused. 30: the cluster was not free in time. 31: not now. Others: the action's own.
    """
    with reporting("job run", output) as report:
        from scaler.app import jobs
        from scaler.gateways.clock import SystemClock
        from scaler.gateways.commands import Subprocesses
        from scaler.ui import jobs_view

        known = jobs.read(cluster)
        record = jobs.run(known, name, SystemClock(), Subprocesses(name), report.say, scheduled=scheduled)
        report.result(jobs_view.data(record), lambda: jobs_view.show_record(record), jobs.error(record))


@commands.command("next", epilog="Example: scaler job next --cluster prod --count 5")
def next_times(
    cluster: Cluster,
    name: OneOrAll = "",
    count: Annotated[int, typer.Option(min=1, max=100, help="So many times of each job.")] = 3,
    output: Format = Output.text,
) -> None:
    """Tell when jobs are due next, in their time zone and in UTC, by systemd's own reckoning. Nothing is contacted."""
    with reporting("job next", output) as report:
        from scaler.app import jobs
        from scaler.gateways.clock import SystemClock
        from scaler.ui import jobs_view

        known, now = jobs.read(cluster), SystemClock().now()
        chosen = [known.find(name)] if name else [each for each in known.jobs.named() if each.job.enabled]
        due = {each.name: jobs.following(known, each, now, count) for each in chosen}
        data = {"times": {job: [time.isoformat() for time in times] for job, times in due.items()}}
        report.result(data, lambda: jobs_view.show_next(chosen, due))


@commands.command(epilog="Example: scaler job history night-down --cluster prod --count 5")
def history(
    cluster: Cluster,
    name: OneOrAll = "",
    count: Annotated[int, typer.Option(min=1, help="So many, the newest first.")] = 20,
    output: Format = Output.text,
) -> None:
    """Tell how runs of jobs ended, the newest first. Nothing is contacted."""
    with reporting("job history", output) as report:
        from scaler.app import jobs
        from scaler.app.session import read_any
        from scaler.engine import job_history
        from scaler.ui import jobs_view

        known = read_any(cluster).name
        names = job_history.jobs(known)
        if name and name not in names:
            jobs.read(cluster).find(name)
        found = jobs.history(known, [name] if name else names)[:count]
        report.result({"records": [jobs_view.data(each) for each in found]}, lambda: jobs_view.show_history(found))


@commands.command(epilog="Example: sudo scaler job install --cluster prod --plan")
def install(
    cluster: Cluster,
    user: Own = False,
    run_as: Annotated[str, typer.Option("--as", metavar="USER", help="Who runs the jobs; else whoever installs.")] = "",
    directory: Directory = None,
    printed: Annotated[
        Printed | None, typer.Option("--print", help="Print lines for a crontab, and write nothing.")
    ] = None,
    plan: PlanOnly = False,
    output: Format = Output.text,
) -> None:
    """Write hardened services and timers for the jobs, remove those of jobs that are gone, and start the timers.

    Exit code 0: so it is; installed again it changes nothing. 3: jobs.yaml is wrong, or you may not write there.
    """
    with reporting("job install", output) as report:
        from scaler.app import job_install, jobs
        from scaler.app.service_user import who
        from scaler.gateways.clock import SystemClock
        from scaler.ui import jobs_view

        known = jobs.read(cluster)
        doer = who(run_as, own_manager=user)
        if printed:
            lines = job_install.crontab(known, doer)
            report.result({"crontab": lines}, lambda: typer.echo(lines, nl=False))
            return
        place, manager = _where(directory, user=user)
        todo = job_install.changes(known, doer, place, SystemClock().now())
        if not plan:
            todo = job_install.apply(known, doer, todo, manager)
        report.result(jobs_view.unit_data(todo, plan=plan), lambda: jobs_view.show_units(todo, plan=plan))


@commands.command(epilog="Example: sudo scaler job uninstall --cluster prod")
def uninstall(
    cluster: Cluster,
    user: Own = False,
    directory: Directory = None,
    plan: PlanOnly = False,
    output: Format = Output.text,
) -> None:
    """Stop the timers of a cluster's jobs and remove what install wrote, and nothing else.

    Exit code 0: nothing of it is left. 3: you may not write there.
    """
    with reporting("job uninstall", output) as report:
        from scaler.app import job_install
        from scaler.app.session import read_any
        from scaler.gateways import units
        from scaler.ui import jobs_view

        known = read_any(cluster).name
        place, manager = _where(directory, user=user)
        todo = job_install.removals(units.of(known, place))
        if not plan:
            todo = job_install.take_out(todo, manager)
        report.result(jobs_view.unit_data(todo, plan=plan), lambda: jobs_view.show_units(todo, plan=plan))


def _where(directory: Path | None, *, user: bool) -> tuple[Path, Manager | None]:
    """Return where units are, and which systemd has them, none where they are only written."""
    from scaler.gateways import units

    if directory:
        return directory.absolute(), None
    return (units.own_directory() if user else units.SYSTEM), units.Manager(user)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)
