"""What the commands share that change managed clusters: options, and how each looks, shows, asks, runs and tells."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scaler.cli.options import perform, warn_of_unfinished
from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scaler.app.cloud_session import CloudSession
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.plan.pool_plan import PoolPlan
    from scaler.ui.report import Report

Autoscaler = Annotated[
    Literal["keep", "pin", "disable"] | None,
    typer.Option(help="What becomes of an autoscaler that moves the pool: it stays, may have this size only, or goes."),
]
Rollback = Annotated[
    bool, typer.Option("--rollback", help="Where not all arrive, ask for what has arrived, so that no more comes.")
]

Verify = Annotated[
    bool,
    typer.Option("--verify", help="Done is when work has run on each new node too, or on all nodes where none is new."),
]


def managed(cluster: str) -> CloudCluster:
    """Return the managed cluster of that name; raises InputError where it is a binary one."""
    from scaler.app.inventories import read_managed

    found = read_managed(cluster)
    if found is not None:
        return found
    # What opens hosts is imported for a cluster that has some.
    from scaler.app.session import read_cluster

    known = read_cluster(cluster)
    raise InputError(
        f"cluster {known.name} is of kind binary: its pools are what its inventory says, and no cloud's to change",
        hint=f"write 'pools' in {known.directory}/group_vars/all.yml; scaler scale changes how many work",
    )


@contextmanager
def working(report: Report, known: CloudCluster, doing: str) -> Iterator[CloudSession]:
    """Hold the cluster's lock and open its doors."""
    from scaler.app.cloud_session import CloudSession
    from scaler.engine.lock import locked

    with locked(known.name, doing):
        warn_of_unfinished(report, known.name)
        yield CloudSession(known)


def change(
    report: Report,
    known: CloudCluster,
    doing: str,
    prepare: Callable[[CloudSession], PoolPlan],
    *,
    plan: bool,
    yes: bool,
) -> None:
    """Let ``prepare`` look, do what it plans, and end with what came of it."""
    with working(report, known, doing) as session:
        carry_out(report, session, prepare(session), plan=plan, yes=yes)


def carry_out(report: Report, session: CloudSession, wanted: PoolPlan, *, plan: bool, yes: bool) -> None:
    """Show what is ``wanted``, ask, do it, and end with what came of it."""
    from scaler.ui import pool_outcome

    run = perform(report, session, wanted, session.cluster.settings, plan=plan, yes=yes)
    error = None if plan else pool_outcome.error(run)
    report.result(pool_outcome.data(wanted, run), lambda: pool_outcome.show(run), error)
