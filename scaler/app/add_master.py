"""Add masters to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import control_plane
from scaler.plan.recipes import add_master

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan


def prepare(session: Session, hosts: Sequence[Host], *, allow_even: bool, progress: Callable[[str], None]) -> Plan:
    """Look at the cluster and the new hosts, and return the plan; nothing is changed."""
    looked = control_plane.look(session, hosts, becomes="masters", progress=progress)
    voters, backends = looked.hosts_of("etcd's voters"), looked.hosts_of("backends of")
    stands = {host.name: add_master.standing(host, session.cluster, voters, backends) for host in hosts}
    return add_master.plan(
        session.cluster,
        looked.state,
        hosts,
        stands,
        voters=voters,
        allow_even=allow_even,
        warnings=looked.warnings,
        living=looked.living,
    )


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    return prepare(session, plan.hosts, allow_even=plan.allow_even, progress=progress)
