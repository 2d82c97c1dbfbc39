"""Take members out of an etcd on hosts of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import removal
from scaler.errors import InputError
from scaler.plan.plan import Drain
from scaler.plan.recipes import remove_etcd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.plan.plan import Plan


def prepare(
    session: Session, names: Sequence[str], *, allow_even: bool, dead: bool, progress: Callable[[str], None]
) -> Plan:
    """Look at the cluster and the members that leave, and return the plan; nothing is changed."""
    cluster = session.cluster
    if cluster.own_etcd:
        raise InputError(
            f"{cluster.hosts_file}: etcd of {cluster.name} stands on its masters, a member each",
            hint="scaler remove-master takes a master away with its member",
        )
    going = removal.look(session, names, group="etcd", drain=Drain(), dead=dead, progress=progress)
    return remove_etcd.plan(cluster, going, allow_even=allow_even)


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    names = [host.name for host in plan.hosts]
    return prepare(session, names, allow_even=plan.allow_even, dead=bool(plan.dead), progress=progress)
