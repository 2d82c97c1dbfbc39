"""How a change of pools ended, as data and as text, and pools as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.text import Text

from scaler.errors import CloudError, PartialError, ScalerError
from scaler.ui import outcome as ending
from scaler.ui import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from scaler.engine.run import Outcome
    from scaler.model.cloud_status import CloudStatus
    from scaler.model.pools import Instance, Pool
    from scaler.plan.health import Problem
    from scaler.plan.pool_plan import PoolPlan


def data(plan: PoolPlan, outcome: Outcome | None) -> dict[str, Any]:
    """Return what a program wants to know of a run; without an outcome nothing had to be done."""
    added, removed = _moved(plan, outcome)
    acted = bool(outcome and outcome.made and any(s.step != "pool_nodes_verified" for s in plan.steps))
    return {
        "plan": plan.to_json(),
        "run": outcome.run if outcome else None,
        "pool": plan.wants.pool,
        "size": plan.wants.size,
        "before": plan.wants.before,
        "added": added,
        "removed": removed,
        "present": list(plan.present),
        "failed": outcome.failed if outcome else {},
        "left": outcome.left if outcome else {},
        "seconds": {name: round(value, 3) for name, value in outcome.seconds.items()} if outcome else {},
        # Some may have come though the run failed.
        "changed": acted or bool(added or removed),
    }


def _moved(plan: PoolPlan, outcome: Outcome | None) -> tuple[list[str], list[str]]:
    """Return the nodes that came and those that went: as the plan names them, or as the cloud chose them."""
    if outcome is None:
        return [], []
    named = [host.name for host in plan.hosts if host.what != "pool" and host.name in outcome.made]
    if plan.leaves:
        return [], named
    return named + list(outcome.measures.get("added", ())), list(outcome.measures.get("removed", ()))


def error(outcome: Outcome | None) -> ScalerError | None:
    """Return the error a run ends with: the cloud's own where there is one and nothing else came of it."""
    told = ending.error(outcome, {})
    if outcome is None or told is None:
        return None
    causes = list({id(cause): cause for cause in outcome.causes.values()}.values())
    if outcome.made or len(causes) != 1 or not isinstance(causes[0], CloudError | PartialError):
        return told
    left = "".join(f"\n{name}: left as it is: {why}" for name, why in outcome.left.items())
    return _with(causes[0], left, told.hint)


def _with(cause: ScalerError, more: str, hint: str) -> ScalerError:
    cause.message += more
    cause.hint = cause.hint or hint
    return cause


def row(pool: Pool) -> dict[str, Any]:
    """Return one pool for a program."""
    return pool.model_dump(mode="json", exclude={"etag"})


def show_pools(pools: Sequence[Pool]) -> None:
    """Print pools, a line each."""
    Console(highlight=False).print(_table(pools), crop=False)


def _table(pools: Sequence[Pool]) -> Group:
    """Return pools, a line each; names are there to be copied, so nothing is cut."""
    rows = [("pool", "id", "size", "there", "min", "max", "autoscaler", "state", "zones")]
    for pool in pools:
        bounds = ("-" if pool.min is None else str(pool.min), "-" if pool.max is None else str(pool.max))
        state = pool.state if pool.told.lower() in {"", pool.state} else f"{pool.state} ({pool.told})"
        size = (str(pool.target), str(pool.actual))
        rows.append(
            (pool.name, pool.id, *size, *bounds, "on" if pool.autoscaled else "off", state, " ".join(pool.zones))
        )
    return Group(*map(_line, table.lines(rows)))


def _line(told: str, style: str = "") -> Text:
    return Text(told, style, no_wrap=True, overflow="ignore")


def show_pool(pool: Pool, instances: Sequence[Instance]) -> None:
    """Print one pool and its machines."""
    show_pools([pool])
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for trouble in pool.troubles:
        console.print(f"✗ {trouble.sentence}", style="red")
    for each in instances:
        words = [each.id, each.state, each.zone, each.node, each.reason.sentence if each.reason else ""]
        console.print("  " + "  ".join(filter(None, words)))


def view(status: CloudStatus, problems: Sequence[Problem]) -> Group:
    """Return a managed cluster as one screen."""
    return Group(*_parts(status, problems))


def _parts(status: CloudStatus, problems: Sequence[Problem]) -> Iterator[RenderableType]:
    yield _line(f"cluster {status.cluster}  {status.kind} in {status.region}  {status.at:%Y-%m-%d %H:%M:%S} UTC")
    yield _line(f"API {'answers' if status.api else 'does not answer'}  Kubernetes {status.version or 'not known'}")
    yield _table(status.pools or ())
    for pool in status.pools or ():
        yield _line(f"{pool.name}: {pool.ready} of {pool.target} Ready")
    if status.foreign_nodes:
        yield _line(f"nodes of no pool: {', '.join(status.foreign_nodes)}")
    if status.lock is not None:
        yield _line(f"lock: {status.lock.sentence}")
    for problem in problems:
        yield _line(f"{'!' if problem.warning else '✗'} {problem.message}", "yellow" if problem.warning else "red")
        yield _line(f"  next: {problem.next}")
    if not problems:
        yield _line("everything is well", "bold green")


def show(outcome: Outcome | None) -> None:
    """Print what was done."""
    ending.show(outcome)
