"""The pods of nodes that leave: what becomes of each, and whether that may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import PreflightError
from scaler.gateways import pods
from scaler.gateways.threads import Threads
from scaler.plan import pods as fates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.runner import Runner
    from scaler.model.inventory import Subject
    from scaler.model.state import ClusterState
    from scaler.plan.plan import Drain
    from scaler.plan.pods import Leaving


def pods_of(session: Runner, state: ClusterState, hosts: Sequence[Subject]) -> tuple[Leaving, ...]:
    """Tell what becomes of each pod of the hosts' Nodes."""
    names = [host.name for host in hosts if state.node(host.name)]
    if not names:
        return ()
    tied = fates.tied_claims(pods.persistent_volumes(session.kube))
    with Threads(8) as pool:
        here = pool.map(lambda name: pods.on_node(session.kube, name), names)
        return fates.leaving([pod for several in here for pod in several], tied)


def may_move(moving: Sequence[Leaving], drain: Drain) -> None:
    """Refuse pods that would lose something the operator has not agreed to."""
    missing = fates.missing(moving, drain)
    if missing:
        lines = [f"{fates.WHY[option]}: {', '.join(names)}" for option, names in missing.items()]
        raise PreflightError("\n".join(lines), hint=f"say {' '.join(missing)} if that may be; nothing was touched")
