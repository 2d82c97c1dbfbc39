"""``scaler status``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import Cluster, Format
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.app.session import Session
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.model.cloud_status import CloudStatus
    from scaler.model.status import Status
    from scaler.plan.health import Problem
    from scaler.ui.report import Report

_EPILOG = """Examples:

scaler status --cluster prod

scaler status --cluster prod --watch --every 10

scaler status --cluster prod --output json"""


def status(
    cluster: Cluster,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long --watch waits in between.")] = 5,
    output: Format = Output.text,
) -> None:
    """Tell how a cluster is, whatever of it is down; reads only, in ten seconds at most.

    Exit code 0: everything is well (warnings aside). 4: something is not, or is not known. 7: nothing answers.
    """
    with reporting("status", output) as report:
        from scaler.app.inventories import read_managed
        from scaler.app.session import opened, read_cluster
        from scaler.app.status import collect, error
        from scaler.plan.health import problems
        from scaler.ui import status_view

        managed = read_managed(cluster)
        if managed is not None:
            _managed(report, managed, every=every if watch else 0)
            return
        known = read_cluster(cluster)
        with opened(known) as session:
            if watch:
                _watch(report, _looks(session, cluster, every))
                return
            seen = collect(session)
            found = problems(seen)
            report.result(_data(seen, found), lambda: status_view.show(seen, found), error(seen, found))


def _managed(report: Report, known: CloudCluster, *, every: float) -> None:
    """Show a managed cluster, again and again where ``every`` says how many seconds lie between."""
    from scaler.app.cloud_session import CloudSession
    from scaler.app.cloud_status import collect, error
    from scaler.plan.cloud_health import problems
    from scaler.ui import pool_outcome

    session = CloudSession(known)

    def look() -> tuple[CloudStatus, tuple[Problem, ...], dict[str, object]]:
        seen = collect(session)
        found = problems(seen)
        told = [problem.model_dump(mode="json") for problem in found]
        return seen, found, {**seen.model_dump(mode="json"), "problems": told}

    while every and report.heard:
        seen, found, data = look()
        if report.output is Output.text:
            pool_outcome.show_status(seen, found)
        else:
            report.line(report.envelope(data, error(seen, found)))
        session.clock.sleep(every)
    if not every:
        seen, found, data = look()
        report.result(data, lambda: pool_outcome.show_status(seen, found), error(seen, found))


def _data(seen: Status, found: tuple[Problem, ...]) -> dict[str, object]:
    return {**seen.model_dump(mode="json"), "problems": [problem.model_dump(mode="json") for problem in found]}


def _looks(session: Session, cluster: str, every: float) -> Iterator[tuple[Status, tuple[Problem, ...]]]:
    """Look, again and again; the inventory is read anew when it has changed."""
    from scaler.app.session import read_cluster
    from scaler.app.status import changed, collect
    from scaler.plan.health import problems

    while True:
        seen = collect(session)
        yield seen, problems(seen)
        session.clock.sleep(every)
        if changed(session.cluster):
            session.cluster = read_cluster(cluster)


def _watch(report: Report, looks: Iterator[tuple[Status, tuple[Problem, ...]]]) -> None:
    """Show each look until Ctrl-C, or until nobody reads any more; both are how a watch ends."""
    try:
        if report.output is Output.text and sys.stdout.isatty():
            _redraw(looks)
        for seen, found in looks:
            _print(report, seen, found)
            if not report.heard:
                return
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # What is still buffered would fail once more when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _redraw(looks: Iterator[tuple[Status, tuple[Problem, ...]]]) -> None:
    from rich.console import Console
    from rich.live import Live

    from scaler.ui.status_view import view

    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="visible") as live:
        for seen, found in looks:
            live.update(view(seen, found), refresh=True)


def _print(report: Report, seen: Status, found: tuple[Problem, ...]) -> None:
    from scaler.app.status import error
    from scaler.ui.status_view import text

    if report.output is Output.text:
        sys.stdout.write(text(seen, found))
        sys.stdout.flush()
    else:
        report.line(report.envelope(_data(seen, found), error(seen, found)))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog=_EPILOG)(status)
