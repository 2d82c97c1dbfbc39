"""What the commands share that take hosts away: look, show the plan, ask, run, tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from scaler.cli.options import carry_out, warn_of_unfinished
from scaler.errors import InputError
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Drain, Plan

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}

Names = Annotated[list[str], typer.Argument(metavar="NODE...", help="Names of the nodes.")]
Timeout = Annotated[str, typer.Option(help="How long one node's pods may take to move: 300, 300s, 5m.")]
Force = Annotated[bool, typer.Option("--force", help="End bare pods, which nobody starts anew.")]
EmptyDir = Annotated[
    bool, typer.Option("--delete-emptydir-data", help="Move pods whose data is on the node, which is lost.")
]
KeepCordon = Annotated[bool, typer.Option("--keep-cordon", help="Leave a node closed that could not be emptied.")]
Dead = Annotated[bool, typer.Option("--dead", help="The hosts are gone for good: proven, and never contacted.")]
AllowEven = Annotated[bool, typer.Option("--allow-even", help="Let etcd end with an even number of voters.")]
DaemonSets = Annotated[
    bool,
    typer.Option("--ignore-daemonsets/--no-ignore-daemonsets", help="Let a DaemonSet's pods end with the node."),
]


def seconds(text: str) -> int:
    """Return the seconds of 300, 300s, 5m or 1h."""
    told = re.fullmatch(r"([1-9]\d{0,6})([smh]?)", text)
    if not told:
        raise InputError(f"--timeout {text}: not a duration", hint="300, 300s, 5m or 1h")
    return int(told[1]) * _UNITS[told[2]]


def drain_of(
    timeout: str, *, force: bool, delete_emptydir_data: bool, ignore_daemonsets: bool, keep_cordon: bool
) -> Drain:
    """Return how pods are moved; raises InputError where ``timeout`` is no duration."""
    from scaler.plan.plan import Drain

    return Drain(
        timeout=seconds(timeout),
        force=force,
        delete_emptydir_data=delete_emptydir_data,
        ignore_daemonsets=ignore_daemonsets,
        keep_cordon=keep_cordon,
    )


def shrink(
    doing: str,
    cluster: str,
    prepare: Callable[[Session, Callable[[str], None]], Plan],
    *,
    plan: bool,
    yes: bool,
    output: Output,
) -> None:
    """Let ``prepare`` look, and do what it plans; ``doing`` is the command as others are told of it."""
    with reporting(doing.split(maxsplit=1)[0], output) as report:
        from scaler.app.session import opened, read_cluster
        from scaler.engine.lock import locked

        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        with locked(known.name, doing), opened(known) as session:
            warn_of_unfinished(report, known.name)
            wanted = prepare(session, report.say)
            carry_out(report, session, wanted, plan=plan, yes=yes)
