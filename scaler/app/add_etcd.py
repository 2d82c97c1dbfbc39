"""Add members to an etcd on hosts of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import control_plane
from scaler.errors import InputError
from scaler.plan.recipes import add_etcd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan


def prepare(session: Session, hosts: Sequence[Host], *, allow_even: bool, progress: Callable[[str], None]) -> Plan:
    """Look at the cluster and the new hosts, and return the plan; nothing is changed."""
    cluster = session.cluster
    if cluster.own_etcd:
        raise InputError(
            f"{cluster.hosts_file}: etcd of {cluster.name} stands on its masters, a member each",
            hint="scaler add-master adds a master with its member",
        )
    looked = control_plane.look(session, hosts, becomes="etcd", progress=progress)
    voters = looked.hosts_of("etcd's voters")
    return add_etcd.plan(cluster, hosts, voters=voters, allow_even=allow_even, warnings=looked.warnings)


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    return prepare(session, plan.hosts, allow_even=plan.allow_even, progress=progress)
