"""Look at the pools of a binary cluster: who works and who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scaler.app.scale_workers import of_pool
from scaler.gateways import kube
from scaler.model.machine_pool_status import Machine, PoolStatus
from scaler.model.machine_pools import MachinePool

if TYPE_CHECKING:
    from scaler.app.session import Session
    from scaler.model.inventory import Host


def look(session: Session) -> tuple[PoolStatus, ...]:
    """Return every pool of the cluster, and last the hosts that are in none, where there are some."""
    cluster = session.cluster
    ready = {node.name: node.ready for node in kube.nodes(session.kube)}

    def machine(host: Host, group: Literal["workers", "standby"]) -> Machine:
        return Machine(name=host.name, group=group, failure_domain=host.failure_domain, ready=ready.get(host.name))

    def status(name: str | None, pool: MachinePool) -> PoolStatus:
        working = [machine(host, "workers") for host in cluster.working() if host.pool == name]
        waiting = [machine(host, "standby") for host in cluster.waiting() if host.pool == name]
        return PoolStatus(
            name=name,
            min=pool.min,
            max=pool.max,
            labels=pool.labels,
            taints=tuple(taint.told for taint in pool.taints),
            machines=(*working, *waiting),
        )

    pools = [status(name, pool) for name, pool in cluster.settings.pools.items()]
    others = status(None, MachinePool())
    return (*pools, *([others] if others.machines or not pools else []))


def find(session: Session, name: str) -> PoolStatus:
    """Return the pool of that name; raises InputError where the cluster has none."""
    of_pool(session.cluster, name)
    return next(pool for pool in look(session) if pool.name == name)
