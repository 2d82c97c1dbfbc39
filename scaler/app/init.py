"""Make a cluster's first master."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scaler.drivers import cni
from scaler.errors import PreflightError, ScalerError
from scaler.gateways import vrrp
from scaler.gateways.ssh import on_each
from scaler.plan.recipes import init
from scaler.steps.base import master_binaries, worker_binaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.plan.plan import Plan

_FOREIGN = "/etc/kubernetes/pki/ca.crt"


def _is_alone(session: Session, host: Host) -> None:
    """Refuse a virtual router id that somebody else speaks for: each would take the other's address."""
    own = {balancer.address for balancer in session.cluster.loadbalancers}
    router = session.cluster.settings.vrrp_router_id
    others = [a.source for a in vrrp.heard(session.ssh, host) if a.router == router and a.source not in own]
    if others:
        raise PreflightError(
            f"{host.name} hears {', '.join(others)} speak for VRRP router id {router} already",
            hint="set another vrrp_router_id; nothing was touched",
        )


def prepare(session: Session, *, progress: Callable[[str], None]) -> Plan:
    """Verify binaries, reach every host, and return the plan; nothing is changed.

    Raises PreflightError where a host cannot be reached or carries another cluster.
    """
    cluster = session.cluster
    plan = init.plan(cluster, network=cni.of(cluster.settings.cni).brought_by_scaler(cluster.settings))
    session.store.verify((*master_binaries(cluster.settings), *worker_binaries(cluster.settings)), progress)
    ours = cluster.settings.pki_dir / "ca.crt"
    mine = ours.read_text(encoding="utf-8") if ours.exists() else ""

    def examine(name: str) -> None:
        host = plan.host(name)
        found = session.ssh.run(host, ["cat", _FOREIGN])
        if found.status == 0 and found.out.strip() != mine.strip():
            raise PreflightError(f"{name} belongs to another cluster ({_FOREIGN} is another CA's)")

    told = on_each(plan.hosts, lambda host: examine(host.name))
    problems = [error for error in told.values() if isinstance(error, ScalerError)]
    if not problems and cluster.settings.vip:
        progress("listening for other VRRP routers on the load balancers' network")
        problems = [e for e in on_each(cluster.loadbalancers, partial(_is_alone, session)).values() if e]
    if problems:
        raise PreflightError("\n".join(e.message for e in problems), hint=problems[0].hint or "nothing was touched")
    return plan


def again(session: Session, plan: Plan, *, progress: Callable[[str], None]) -> Plan:
    """Look again at what is to be made; every step compares before it acts."""
    del plan
    return prepare(session, progress=progress)
