"""Look at a managed cluster: the cloud and the API at once, and what this machine knows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scaler.app import status_api
from scaler.app.asking import at_once
from scaler.app.cloud_session import api_version
from scaler.app.status import unfinished
from scaler.engine import lock
from scaler.errors import PreflightError, ScalerError, UnreachableError
from scaler.gateways.kube import nodes
from scaler.model.cloud_status import CloudStatus, PoolSeen
from scaler.model.status import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.cloud_session import CloudSession
    from scaler.model.pools import Pool
    from scaler.model.state import Node
    from scaler.plan.health import Problem

SECONDS = 30.0


def collect(session: CloudSession) -> CloudStatus:
    """Ask everybody at once; who does not answer is named."""
    settings = session.cluster.settings
    work: dict[str, Callable[[], object]] = {
        "the pools": partial(_pools, session),
        "the nodes": lambda: nodes(session.kube),
        "the API's version": lambda: api_version(session.kube),
        "the lease": lambda: status_api.lease(session.kube.get("leases.coordination.k8s.io", namespace="kube-system")),
    }
    told = at_once(session.clock, work, seconds=SECONDS)
    good = {what: None if isinstance(said, ScalerError) else said for what, said in told.items()}
    pools: tuple[Pool, ...] | None = good["the pools"]  # type: ignore[assignment]
    found: list[Node] | None = good["the nodes"]  # type: ignore[assignment]
    seen = [_seen(pool, found or []) for pool in pools or ()]
    in_pools = {node.name for node in found or () for pool in pools or () if _is_in(node, pool)}
    return CloudStatus(
        cluster=session.name,
        kind=settings.kind,
        region=settings.region,
        at=session.clock.now(),
        api=found is not None,
        version=str(good["the API's version"] or ""),
        pools=None if pools is None else tuple(seen),
        nodes=None if found is None else len(found),
        foreign_nodes=tuple(node.name for node in found or () if node.name not in in_pools),
        runs=unfinished(session.name),
        lock=lock.look(session.name),
        lease=good["the lease"],
        unknown=tuple(
            Unknown(what=what, why=said.message) for what, said in told.items() if isinstance(said, ScalerError)
        ),
    )


def error(status: CloudStatus, found: Sequence[Problem]) -> ScalerError | None:
    """Return the error that a look ends with; warnings are none."""
    if status.pools is None and not status.api:
        why = "\n".join(f"{each.what}: {each.why}" for each in status.unknown)
        return UnreachableError(f"nothing of cluster {status.cluster} answers\n{why}")
    bad = [problem for problem in found if not problem.warning]
    if not bad:
        return None
    return PreflightError(f"{len(bad)} things of cluster {status.cluster} are not well", hint=bad[0].next)


def _pools(session: CloudSession) -> tuple[Pool, ...]:
    # The driver is made here, so that what is wrong with it is this question's.
    return session.cloud.pools()


def _seen(pool: Pool, found: Sequence[Node]) -> PoolSeen:
    theirs = [node for node in found if _is_in(node, pool)]
    return PoolSeen(
        **pool.model_dump(exclude={"etag"}),
        ready=sum(node.ready for node in theirs),
        not_ready=tuple(f"{node.name}: {node.why_not_ready}" for node in theirs if not node.ready),
    )


def _is_in(node: Node, pool: Pool) -> bool:
    return node.metadata.labels.get(pool.label) == pool.value
