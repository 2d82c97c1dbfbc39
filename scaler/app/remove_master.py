"""Take masters away from a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import removal
from scaler.plan.plan import Drain
from scaler.plan.recipes import remove_master

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan


def prepare(
    session: Session,
    names: Sequence[str],
    *,
    drain: Drain,
    allow_even: bool,
    dead: bool,
    progress: Callable[[str], None],
    joining: Sequence[Host] = (),
) -> Plan:
    """Look at the cluster and the masters that leave, and return the plan; nothing is changed.

    ``joining`` are masters that come before any leaves.
    """
    going = removal.look(session, names, group="masters", drain=drain, dead=dead, progress=progress, joining=joining)
    return remove_master.plan(session.cluster, going, drain=drain, allow_even=allow_even)


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    return prepare(
        session,
        [host.name for host in plan.hosts],
        drain=plan.drain or Drain(),
        allow_even=plan.allow_even,
        dead=bool(plan.dead),
        progress=progress,
    )
