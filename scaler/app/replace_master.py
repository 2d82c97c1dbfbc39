"""Replace one master by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import control_plane, removal, remove_master
from scaler.engine import history
from scaler.errors import InputError
from scaler.plan.plan import Drain
from scaler.plan.recipes import add_master, replace_master

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Cluster, Host
    from scaler.plan.plan import Plan


def prepare(
    session: Session, old: str, new: Host, *, drain: Drain, dead: bool, progress: Callable[[str], None]
) -> Plan:
    """Look at the cluster, the master that leaves and the host that comes, and return one plan; nothing is changed."""
    cluster = session.cluster
    if new.name == old:
        raise InputError(f"{old} cannot replace itself", hint="remove it, then add it again")
    gone = removal.choose(cluster, [old], "masters")
    there = any(new.name == master.name for master in cluster.masters)
    if there and gone and not _is_begun(cluster, old, new):
        raise InputError(
            f"{new.name} is a master already: {old} would leave and nobody come in its place",
            hint=f"scaler remove-master {old}; or name a host that is no master",
        )
    # The number of masters is the same in the end, so an even one is no news.
    joining = () if there or dead else (new,)
    out = remove_master.prepare(
        session, [old], drain=drain, allow_even=True, dead=dead, progress=progress, joining=joining
    )
    added = None if there else _addition(session, new, gone if dead else (), progress)
    return replace_master.plan(cluster, out, added)


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    drain, dead = plan.drain or Drain(), bool(plan.dead)
    # The hosts of the plan may be fewer by now: one that is finished is known from the inventory, or is gone.
    named = dict.fromkeys((*(name for spec in plan.steps for name in spec.hosts), *plan.present))
    old = next(name for name in named if name not in plan.joins)
    known = {host.name: host for host in (*plan.hosts, *session.cluster.masters)}
    if not plan.joins:
        return remove_master.prepare(session, [old], drain=drain, allow_even=True, dead=dead, progress=progress)
    return prepare(session, old, known[plan.joins[0]], drain=drain, dead=dead, progress=progress)


def _is_begun(cluster: Cluster, old: str, new: Host) -> bool:
    """Tell whether an earlier run was for this replacement, and may have made the new master already."""
    known = history.runs(cluster.name)
    return any(run.change == replace_master.CHANGE and {old, new.name} <= set(run.hosts) for run in known)


def _addition(session: Session, new: Host, dead: Sequence[Host], progress: Callable[[str], None]) -> Plan:
    """Return the plan that adds ``new``, as if the ``dead`` had left already."""
    among = removal.without(session, dead) if dead else session
    looked = control_plane.look(among, [new], becomes="masters", progress=progress, gone=dead)
    away = {host.name for host in dead}
    voters, backends = looked.hosts_of("etcd's voters") - away, looked.hosts_of("backends of") - away
    stands = {new.name: add_master.standing(new, among.cluster, voters, backends)}
    return add_master.plan(
        among.cluster,
        looked.state,
        [new],
        stands,
        voters=voters,
        allow_even=True,
        warnings=looked.warnings,
        living=looked.living,
    )
