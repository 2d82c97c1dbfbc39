"""``scaler status``."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from scaler.cli.options import Cluster, Format
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Any

    from rich.console import RenderableType

    from scaler.errors import ScalerError
    from scaler.model.base import Value
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.plan.health import Problem
    from scaler.ui.report import Report

_EPILOG = """Examples:

scaler status --cluster prod

scaler status --cluster prod --watch --every 10

scaler status --cluster prod --output json"""


class Look(NamedTuple):
    """One look at a cluster of either kind: for a person, for a program, and as the end of the command."""

    screen: Callable[[], RenderableType]
    data: dict[str, Any]
    error: ScalerError | None = None


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

        managed = read_managed(cluster)
        with closing(_pools(managed, every) if managed else _hosts(cluster, every)) as looks:
            if watch:
                _watch(report, looks)
                return
            one = next(looks)
            report.result(one.data, lambda: _show(one), one.error)


def _pools(known: CloudCluster, every: float) -> Generator[Look]:
    """Look at a managed cluster, again and again."""
    from scaler.app.cloud_session import CloudSession
    from scaler.app.cloud_status import collect, error
    from scaler.plan.cloud_health import problems
    from scaler.ui.pool_outcome import view

    session = CloudSession(known)
    while True:
        seen = collect(session)
        found = problems(seen)
        yield Look(partial(view, seen, found), _data(seen, found), error(seen, found))
        session.clock.sleep(every)


def _hosts(cluster: str, every: float) -> Generator[Look]:
    """Look at a cluster of hosts, again and again; the inventory is read anew when it has changed."""
    from scaler.app.session import opened, read_cluster
    from scaler.app.status import changed, collect, error
    from scaler.plan.health import problems
    from scaler.ui.status_view import view

    with opened(read_cluster(cluster)) as session:
        while True:
            seen = collect(session)
            found = problems(seen)
            yield Look(partial(view, seen, found), _data(seen, found), error(seen, found))
            session.clock.sleep(every)
            if changed(session.cluster):
                session.cluster = read_cluster(cluster)


def _data(seen: Value, found: Sequence[Problem]) -> dict[str, Any]:
    return {**seen.model_dump(mode="json"), "problems": [problem.model_dump(mode="json") for problem in found]}


def _watch(report: Report, looks: Iterator[Look]) -> None:
    """Show each look until Ctrl-C, or until nobody reads any more; both are how a watch ends."""
    try:
        if report.output is Output.text and sys.stdout.isatty():
            _redraw(looks)
        for each in looks:
            _print(report, each)
            if not report.heard:
                return
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # What is still buffered would fail once more when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _redraw(looks: Iterator[Look]) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="visible") as live:
        for each in looks:
            live.update(each.screen(), refresh=True)


def _show(look: Look) -> None:
    from rich.console import Console

    Console(highlight=False).print(look.screen(), crop=False)


def _print(report: Report, look: Look) -> None:
    from scaler.ui.status_view import text

    if report.output is Output.text:
        sys.stdout.write(text(look.screen()))
        sys.stdout.flush()
    else:
        report.line(report.envelope(look.data, look.error))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog=_EPILOG)(status)
