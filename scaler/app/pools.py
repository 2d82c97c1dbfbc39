"""Pools themselves: make one like another, delete one, set between which sizes it is moved; and masters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app.cloud_removal import look, seen_and_pods
from scaler.errors import GuardError, InputError
from scaler.model.pools import Autoscaling, PoolSpec
from scaler.plan.recipes import pools as recipes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.cloud_session import CloudSession
    from scaler.plan.plan import Drain
    from scaler.plan.pool_plan import PoolPlan


def create(
    session: CloudSession, name: str, *, like: str, size: int, verify: bool = False, again: bool = False
) -> PoolPlan:
    """Return the plan that makes pool ``name``; one of that name is refused, unless this goes on ``again``."""
    session.must_offer("create", "making a pool")
    model = session.find(like)
    there = next((pool for pool in session.cloud.pools() if pool.name == name), None)
    if there and not again:
        raise InputError(f"cluster {session.name} has a pool {name} already")
    spec = PoolSpec(name=name, size=size)
    return recipes.create(session.name, model, spec, there=there, verify=verify)


def delete(session: CloudSession, ref: str, drain: Drain) -> PoolPlan:
    """Return the plan that empties a pool's nodes and deletes it; the last pool stays."""
    session.must_offer("delete", "deleting a pool")
    pool = session.find(ref)
    if len(session.cloud.pools()) == 1:
        raise GuardError(f"{pool.name} is the last pool: nothing of the cluster would run anywhere")
    state = look(session)
    names = [node.name for node in state.nodes if node.metadata.labels.get(pool.label) == pool.value]
    seen, pods = seen_and_pods(session, state, names, drain)
    return recipes.delete(session.name, pool, seen=seen, pods=pods, drain=drain)


def autoscale(session: CloudSession, ref: str, *, low: int | None, high: int | None, off: bool) -> PoolPlan:
    """Return the plan that sets bounds, or that takes the autoscaler off; what is not said stays as it is."""
    pool = session.find(ref)
    own = "autoscaler" in session.cloud.offers
    if off:
        session.must_offer("autoscaler", "an autoscaler that can be switched off")
    least = low if low is not None else pool.min or 0
    most = high if high is not None else pool.max
    if most is None and off:
        most = max(pool.target, least)
    if most is None:
        raise InputError(f"pool {pool.name} has no upper bound yet", hint="say --max")
    if least > most:
        raise InputError(f"--min {least} is more than --max {most}")
    on = (not off) if own else pool.autoscaled
    return recipes.autoscale(session.name, pool, Autoscaling(on=on, min=least, max=most), off=off)


def add_masters(session: CloudSession, machines: Sequence[str], *, allow_even: bool) -> PoolPlan:
    """Return the plan that makes masters of machines, where the cloud has such a call."""
    session.must_offer("add-masters", "adding masters")
    there = [each.id for each in session.cloud.masters()]
    return recipes.add_masters(session.name, there, machines, allow_even=allow_even)
