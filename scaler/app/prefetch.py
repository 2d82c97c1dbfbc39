"""Look what hosts on standby lack of what a worker is made of, so that it can be brought ahead of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.app.scale_workers import of_pool
from scaler.errors import InputError, PreflightError, ScalerError
from scaler.gateways.ssh import on_each
from scaler.plan.recipes import prefetch as recipe
from scaler.steps.base import worker_binaries
from scaler.steps.hosts_prefetched import has_everything

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Cluster, Host
    from scaler.plan.plan import Plan


class Prepared(NamedTuple):
    """A plan, and the hosts that could not be looked at and why."""

    plan: Plan
    refused: dict[str, str]


def choose(cluster: Cluster, names: Sequence[str], pool: str | None) -> tuple[Host, ...]:
    """Return the hosts that are meant: those named, or all on standby, or those of ``pool`` there."""
    of_pool(cluster, pool)
    if not names:
        waiting = cluster.waiting(pool)
        if not waiting:
            whose = f"of pool {pool} " if pool else ""
            raise InputError(f"no host {whose}is on standby in {cluster.hosts_file}")
        return waiting
    known = {host.name: host for host in (*cluster.standby, *cluster.workers)}
    for name in names:
        if name not in known:
            raise InputError(
                f"{name} is neither on standby nor a worker in {cluster.hosts_file}",
                hint=f"hosts on standby: {', '.join(host.name for host in cluster.standby) or 'none'}",
            )
        if pool and known[name].pool != pool:
            raise InputError(f"{name} is not of pool {pool} in {cluster.hosts_file}")
    return tuple(known[name] for name in dict.fromkeys(names))


def prepare(session: Session, hosts: Sequence[Host], *, progress: Callable[[str], None]) -> Prepared:
    """Verify the binaries, ask ``hosts`` what they have, and return the plan; nothing is changed.

    A host that cannot be asked is refused, and the others go on without it; raises PreflightError where none is left.
    """
    settings, store = session.cluster.settings, session.store
    store.verify(worker_binaries(settings), progress)
    progress(f"looking at {', '.join(host.name for host in hosts)}")
    told = on_each(hosts, lambda host: has_everything(session.ssh, host, store, settings))
    refused = {
        n: f"{e.message} ({e.hint})" if e.hint else e.message for n, e in told.items() if isinstance(e, ScalerError)
    }
    if refused and len(refused) == len(hosts):
        lines = [f"{name}: {why}" for name, why in refused.items()]
        raise PreflightError("\n".join(lines), hint="nothing was touched")
    lacking = [host for host in hosts if told[host.name] is False]
    present = [host.name for host in hosts if told[host.name] is True]
    left_out = [f"{name} is left out: {why}" for name, why in refused.items()]
    return Prepared(recipe.plan(session.cluster, lacking, present=present, warnings=left_out), refused)


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what an earlier run's ``plan`` was for, and return what is missing."""
    return prepare(session, plan.hosts, progress=progress).plan
