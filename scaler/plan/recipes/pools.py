"""Change pools of a managed cluster.

    grow:    (autoscaler) → the size is asked for → the instances are there and their Nodes Ready → (work runs there)
    shrink:  close (cordon) all → pods move off → these very instances end → the size is what is left

A pool only ever gets an absolute size. Nodes leave one by one by their names, drained before, also where only a smaller
size was asked for; the cloud picks them itself only where the operator says so.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import ConflictError, GuardError, InputError
from scaler.model.pools import Autoscaling
from scaler.plan.plan import StepSpec
from scaler.plan.pool_plan import PoolPlan, Unit, Verify, Wants

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scaler.model.pools import Operation, Pool, PoolSpec
    from scaler.plan.plan import Drain, Seen
    from scaler.plan.pods import Leaving
    from scaler.plan.pool_plan import Autoscaler, Machine

GROW, SHRINK, CREATE, DELETE, AUTOSCALE, MASTERS = (
    "scale",
    "remove-node",
    "pool-create",
    "pool-delete",
    "pool-autoscale",
    "add-master",
)
_UNTOUCHED = "all other pools, and every node that is there"


def size_of(pool: Pool, wanted: str) -> int:
    """Return the absolute size that ``10``, ``+3`` or ``-2`` means for ``pool``; raises InputError where it is none."""
    digits = wanted.lstrip("+-")
    if not digits.isdecimal() or len(wanted) - len(digits) > 1:
        raise InputError(f"--to {wanted}: not a size", hint="10, +3 or -2")
    number = int(digits)
    size = {"+": pool.target + number, "-": pool.target - number}.get(wanted[0], number)
    if size < 0:
        raise InputError(f"--to {wanted}: pool {pool.name} has {pool.target} nodes")
    return size


def must_be_idle(pool: Pool) -> None:
    """Refuse a pool that the cloud is at work on: what comes of both changes nobody could tell."""
    if pool.state == "changing":
        raise ConflictError(
            f"the cloud is changing pool {pool.name} already",
            hint="wait until it is done; scaler status shows it",
            code=pool.told,
        )


def may_have(pool: Pool, size: int, autoscaler: Autoscaler, *, going: bool = False) -> None:
    """Refuse a size that the pool may not have; ``going`` tells that it is on the way there already."""
    _may_change(pool, autoscaler, going=going)
    if size != pool.target:
        must_divide(pool, size)
    # Only bounds that move with the size give way to it.
    if not (autoscaler == "pin" and pool.autoscaled):
        _within(pool, size)


def may_lose(pool: Pool, size: int, autoscaler: Autoscaler) -> None:
    """Refuse a size that is left when given machines have gone; zones need not have as many each then.

    A bound that is pinned moves when they have gone, so that it holds before.
    """
    _may_change(pool, autoscaler, going=True)
    _within(pool, size)


def must_divide(pool: Pool, size: int) -> None:
    """Refuse a size that zones with as many nodes in each cannot come to."""
    if pool.per_zone and size % max(len(pool.zones), 1):
        zones = len(pool.zones)
        low = size - size % zones
        raise GuardError(
            f"pool {pool.name} has {zones} zones with as many nodes in each: {size} is not a multiple of {zones}",
            hint=f"ask for {low} or {low + zones}",
        )


def _may_change(pool: Pool, autoscaler: Autoscaler, *, going: bool) -> None:
    if pool.state == "deleting":
        raise ConflictError(f"pool {pool.name} is being deleted", code=pool.told)
    if not going:
        must_be_idle(pool)
    if pool.autoscaled and not autoscaler:
        raise GuardError(
            f"an autoscaler moves pool {pool.name} between {pool.min} and {pool.max}: it may change the size again",
            hint="say --autoscaler keep, pin (it may have this size only) or disable; or scaler pool autoscale",
        )


def _within(pool: Pool, size: int) -> None:
    for bound, over in ((pool.max, size > (pool.max or 0)), (pool.min, size < (pool.min or 0))):
        if bound is not None and over:
            which = "max" if bound == pool.max and size > bound else "min"
            raise GuardError(
                f"pool {pool.name} has {which} {bound}, {size} was asked for",
                hint=f"scaler pool autoscale {pool.name} --{which} {size} moves the bound",
            )


def room_for(pool: Pool, size: int, zones: Iterable[str]) -> int:
    """Return the smallest size that ``pool`` can have from ``size`` on and that ends none of its machines.

    ``zones`` are those of the machines, one each: where zones have as many nodes each, the fullest one decides.
    """
    if not (pool.per_zone and pool.zones):
        return size
    fullest = max(Counter(filter(None, zones)).values(), default=0)
    return max(fullest, math.ceil(size / len(pool.zones))) * len(pool.zones)


def grow(
    cluster: str,
    pool: Pool,
    size: int,
    *,
    autoscaler: Autoscaler = "",
    rollback: bool = False,
    begun: Operation | None = None,
    settled: bool = False,
    verify: Verify | None = None,
) -> PoolPlan:
    """Return the plan that brings ``pool`` to ``size``; nothing is asked of the cloud where it is ``settled`` there."""
    steps = ["pool_sized", "pool_nodes_ready"] if not settled else []
    steps += ["pool_nodes_verified"] if verify else []
    autoscaling = _autoscaling(pool, size, autoscaler)
    if autoscaling:
        steps.insert(0, "pool_autoscaling_set")
    told = [trouble.sentence for trouble in pool.troubles]
    if autoscaler == "keep" and pool.autoscaled and steps:
        told.append(f"the autoscaler of pool {pool.name} stays, and may change the size again")
    told += _off_already([pool], autoscaler) if steps else []
    return PoolPlan(
        change=GROW,
        cluster=cluster,
        hosts=(Unit(name=pool.name, what="pool", id=pool.id),),
        steps=tuple(StepSpec(step=step, hosts=(pool.name,)) for step in steps),
        present=() if steps else (pool.name,),
        warnings=tuple(told),
        untouched=_UNTOUCHED,
        on_failure="undo" if rollback else "stop",
        wants=Wants(
            pool=pool.id,
            size=size,
            before=pool.target,
            had=pool.target,
            autoscaling=autoscaling,
            autoscaler=autoscaler,
            begun=begun,
            verify=verify,
        ),
    )


def _autoscaling(pool: Pool, size: int, autoscaler: Autoscaler) -> Autoscaling | None:
    """Return what becomes of the pool's autoscaler where it comes to ``size``; None where it stays as it is."""
    if not pool.autoscaled or autoscaler not in {"pin", "disable"}:
        return None
    if autoscaler == "disable":
        return Autoscaling(on=False, min=pool.min or 0, max=max(pool.max or 0, size))
    pinned = Autoscaling(on=True, min=size, max=size)
    return None if pool.has(pinned) else pinned


def _off_already(pools: Iterable[Pool], autoscaler: Autoscaler) -> list[str]:
    """Say which pools have no autoscaler that could be disabled, so that nobody takes it for a change."""
    off = [pool.name for pool in pools if not pool.autoscaled]
    return [f"pool {name} has no autoscaler on: there is none to disable" for name in off if autoscaler == "disable"]


class Going(NamedTuple):
    """What leaves: the machines behind Nodes, by their names, from ``pools``; ``absent`` are gone already."""

    machines: Mapping[str, Machine]
    pools: Mapping[str, Pool]
    seen: Mapping[str, Seen]
    pods: Sequence[Leaving]
    absent: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def sizes(self) -> dict[str, int]:
        """Return what is left of each pool."""
        # A machine that is gone already was taken off its pool's size when it went.
        going = [machine.pool for machine in self.machines.values() if machine.instance]
        return {name: max(pool.target - going.count(name), 0) for name, pool in self.pools.items()}


def shrink(cluster: str, going: Going, drain: Drain, *, max_unavailable: int, autoscaler: Autoscaler = "") -> PoolPlan:
    """Return the plan that ends the machines, some at a time.

    An autoscaler that is disabled is so first, and one that is pinned is so last, at what is left then: bounds that the
    size is outside of would be taken at once, and not by these machines.
    """
    names, seen, sizes = list(going.machines), going.seen, going.sizes()
    moved = {name: told for name, pool in going.pools.items() if (told := _autoscaling(pool, sizes[name], autoscaler))}
    if len(going.pools) > 1 and moved:
        raise GuardError(
            f"--autoscaler {autoscaler}: the nodes are of the pools {', '.join(sorted(going.pools))}",
            hint="name the nodes of one pool at a time",
        )
    bounded = [StepSpec(step="pool_autoscaling_set", hosts=tuple(names))] if moved else []
    steps = [*bounded] if autoscaler == "disable" else []
    steps += [StepSpec(step="nodes_cordoned", hosts=tuple(n for n in names if n in seen))] if seen else []
    for at in range(0, len(names), max_unavailable):
        batch = tuple(names[at : at + max_unavailable])
        drained = tuple(name for name in batch if name in seen)
        steps += [StepSpec(step="nodes_drained", hosts=drained)] if drained else []
        steps.append(StepSpec(step="pool_instances_removed", hosts=batch))
    steps += bounded if autoscaler == "pin" else []
    return PoolPlan(
        change=SHRINK,
        cluster=cluster,
        hosts=tuple(Unit(name=name, what="node", id=going.machines[name].instance) for name in names),
        steps=tuple(steps),
        present=going.absent,
        warnings=(*going.warnings, *_off_already(going.pools.values(), autoscaler)),
        untouched=_UNTOUCHED,
        leaves="workers",
        drain=drain,
        seen=dict(seen),
        pods=tuple(going.pods),
        wants=Wants(
            pool=next(iter(moved), ""),
            autoscaling=next(iter(moved.values()), None),
            autoscaler=autoscaler,
            machines=dict(going.machines),
            sizes=sizes,
        ),
    )


def create(cluster: str, like: Pool, spec: PoolSpec, *, there: Pool | None, verify: bool = False) -> PoolPlan:
    """Return the plan that makes a pool like another one; one that is ``there`` already is only waited for."""
    must_divide(like, spec.size)
    steps = ["pool_created", "pool_nodes_ready"] if there is None else ["pool_nodes_ready"]
    steps += ["pool_nodes_verified"] if verify else []
    return PoolPlan(
        change=CREATE,
        cluster=cluster,
        hosts=(Unit(name=spec.name, what="pool", id=there.id if there else ""),),
        steps=tuple(StepSpec(step=step, hosts=(spec.name,)) for step in steps),
        untouched=_UNTOUCHED,
        on_failure="stop",
        wants=Wants(
            pool=like.id,
            spec=spec,
            size=spec.size,
            before=0,
            there={},
            verify=Verify(which="new") if verify else None,
        ),
    )


def delete(cluster: str, pool: Pool, *, seen: Mapping[str, Seen], pods: Sequence[Leaving], drain: Drain) -> PoolPlan:
    """Return the plan that deletes ``pool``: its Nodes are closed and emptied first, all of them."""
    nodes = tuple(seen)
    steps = [StepSpec(step=step, hosts=nodes) for step in ("nodes_cordoned", "nodes_drained") if nodes]
    units = [*(Unit(name=name, what="node") for name in nodes), Unit(name=pool.name, what="pool", id=pool.id)]
    return PoolPlan(
        change=DELETE,
        cluster=cluster,
        hosts=tuple(units),
        # Nodes of a pool that stays after all are opened again with it.
        steps=(*steps, StepSpec(step="pool_deleted", hosts=(*nodes, pool.name))),
        untouched="all other pools",
        on_failure="undo-all",
        leaves="workers",
        drain=drain,
        seen=dict(seen),
        pods=tuple(pods),
        wants=Wants(pool=pool.id, size=0, before=pool.target),
    )


def autoscale(cluster: str, pool: Pool, wanted: Autoscaling, *, off: bool = False) -> PoolPlan:
    """Return the plan that sets bounds and autoscaler; empty where they are so."""
    as_it_is = pool.has(wanted)
    if not as_it_is and not wanted.min <= pool.target <= wanted.max:
        raise GuardError(
            f"pool {pool.name} has {pool.target} nodes: between {wanted.min} and {wanted.max} some would be ended at "
            "once, or started",
            hint="scaler scale first, then the bounds",
        )
    return PoolPlan(
        change=AUTOSCALE,
        cluster=cluster,
        hosts=(Unit(name=pool.name, what="pool", id=pool.id),),
        steps=() if as_it_is else (StepSpec(step="pool_autoscaling_set", hosts=(pool.name,)),),
        present=(pool.name,) if as_it_is else (),
        untouched="the size of the pool, and every node",
        on_failure="stop",
        wants=Wants(pool=pool.id, autoscaling=wanted, autoscaler="disable" if off else ""),
    )


def add_masters(cluster: str, there: Sequence[str], machines: Sequence[str], *, allow_even: bool = False) -> PoolPlan:
    """Return the plan that makes masters of ``machines``; those that are ``there`` already are left out."""
    new = [name for name in machines if name not in there]
    total = len(there) + len(new)
    if new and total % 2 == 0 and not allow_even:
        raise GuardError(
            f"{total} masters are an even number: they tolerate no more failures than {total - 1}",
            hint="add one more or one less, or say --allow-even",
        )
    return PoolPlan(
        change=MASTERS,
        cluster=cluster,
        hosts=tuple(Unit(name=name, what="machine") for name in new),
        steps=(StepSpec(step="cloud_masters_added", hosts=tuple(new)),) if new else (),
        present=tuple(name for name in machines if name in there),
        untouched="all pools",
        on_failure="stop",
        wants=Wants(masters=total, before=len(there)),
    )
