"""Make a cluster's first master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import PreflightError, ScalerError
from scaler.gateways.ssh import on_each
from scaler.plan.recipes import init
from scaler.steps.base import master_binaries, worker_binaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.session import Session
    from scaler.plan.plan import Plan

_FOREIGN = "/etc/kubernetes/pki/ca.crt"


def prepare(session: Session, *, progress: Callable[[str], None]) -> Plan:
    """Verify binaries, reach every host, and return the plan; nothing is changed.

    Raises PreflightError where a host cannot be reached or carries another cluster.
    """
    cluster = session.cluster
    plan = init.plan(cluster)
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
    if problems:
        raise PreflightError("\n".join(e.message for e in problems), hint=problems[0].hint or "nothing was touched")
    return plan
