"""What the commands share that add masters or members of etcd: look, show the plan, ask, run, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from scaler.cli.options import carry_out, warn_of_unfinished
from scaler.ui.report import Output, reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan


class Prepare(Protocol):
    """Looks at the cluster and the new hosts and returns the plan."""

    def __call__(
        self, session: Session, hosts: Sequence[Host], *, allow_even: bool, progress: Callable[[str], None]
    ) -> Plan:
        """Look."""


def grow(
    verb: str,
    names: Sequence[str],
    cluster: str,
    prepare: Prepare,
    *,
    to_be: str,
    new: Callable[[], Host | None],
    allow_even: bool,
    plan: bool,
    yes: bool,
    output: Output,
) -> None:
    """Let ``names``, or the one host that ``new`` tells was given whole, become ``to_be``."""
    with reporting(verb, output) as report:
        from scaler.app.add_node import choose
        from scaler.app.session import opened, read_cluster
        from scaler.engine.lock import locked

        whole = new()
        report.say(f"reading the inventory of {cluster}")
        known = read_cluster(cluster)
        chosen = choose(known, [] if whole else names, [whole] if whole else [], to_be=to_be)
        with locked(known.name, f"{verb} {' '.join(host.name for host in chosen)}"), opened(known) as session:
            warn_of_unfinished(report, known.name)
            wanted = prepare(session, chosen, allow_even=allow_even, progress=report.say)
            carry_out(report, session, wanted, plan=plan, yes=yes)
