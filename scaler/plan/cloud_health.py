"""What of a managed cluster is not well, and what to do next about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.health import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.model.cloud_status import CloudStatus, PoolSeen


def problems(status: CloudStatus) -> tuple[Problem, ...]:
    """Return every problem, the worst first."""
    found = [problem for pool in status.pools or () for problem in _pool(pool)]
    found += [
        Problem(message=f"{each.what} is not known: {each.why}", next="mend that first") for each in status.unknown
    ]
    found += [
        Problem(
            message=f"run {run.run} ({run.change} {' '.join(run.hosts)}) is unfinished",
            next=f"scaler runs resume {run.run}",
            warning=True,
        )
        for run in status.runs
        if not run.running
    ]
    return tuple(sorted(found, key=lambda problem: problem.warning))


def _pool(pool: PoolSeen) -> Iterator[Problem]:
    busy = pool.state == "changing"
    if pool.ready != pool.target:
        yield Problem(
            message=f"pool {pool.name}: {pool.ready} of {pool.target} nodes are Ready",
            next=f"wait, the cloud is changing it ({pool.told})" if busy else f"scaler pool show {pool.name} tells why",
            warning=busy,
        )
    for reason in pool.not_ready:
        yield Problem(message=f"pool {pool.name}: {reason}", next=f"scaler pool show {pool.name}")
    for trouble in pool.troubles:
        yield Problem(message=f"pool {pool.name}: {trouble.sentence}", next="see what the cloud says of it")
    if pool.state in {"failed", "degraded"}:
        yield Problem(message=f"pool {pool.name} is {pool.told or pool.state}", next="see what the cloud says of it")
