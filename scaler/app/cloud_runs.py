"""Go on with a run on a managed cluster: what was asked for by its absolute number, and what is there now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.app import cloud_removal, pools, scale
from scaler.engine import history
from scaler.errors import ConflictError, InputError
from scaler.model.pools import Operation
from scaler.plan.plan import Drain, StepSpec
from scaler.plan.pool_plan import PoolPlan
from scaler.plan.recipes import pools as recipes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.cloud_session import CloudSession
    from scaler.engine.history import Run
    from scaler.plan.pool_plan import Wants


def resumed(session: CloudSession, run: Run, all_runs: Sequence[Run], *, progress: Callable[[str], None]) -> PoolPlan:
    """Look at what is there and return the plan of what is missing of ``run``; nothing is changed."""
    intended = run.must_be_understood()
    if not isinstance(intended, PoolPlan):
        raise InputError(f"run {run.name} changed hosts of a binary cluster")
    others = history.taken_over(run, all_runs)
    if others and set(others) >= {host.name for host in intended.hosts}:
        later = ", ".join(sorted(set(others.values())))
        raise InputError(f"run {run.name} was taken over by {later}", hint=f"look there: scaler runs show {later}")
    return _again(session, intended, run, set(others), progress).model_copy(update={"resumes": run.name})


def _again(
    session: CloudSession, plan: PoolPlan, run: Run, others: set[str], progress: Callable[[str], None]
) -> PoolPlan:
    wants, drain = plan.wants, plan.drain or Drain(ignore_daemonsets=True)
    if plan.change == recipes.GROW:
        pool = session.find(wants.pool)
        if pool.target not in {wants.before, wants.size}:
            raise ConflictError(
                f"pool {pool.name} was to have {wants.size} nodes in place of {wants.before}, now it has {pool.target}",
                hint="somebody changed it since; say what you want with scaler scale",
            )
        # Never "+3" again: the number that was meant then.
        how = scale.How(
            wants.autoscaler,
            plan.on_failure == "undo",
            provider_picks=True,
            drain=drain,
            verify=wants.verify is not None,
            known=wants.verify,
            there=_there(run, wants),
        )
        again = scale.prepare(
            session, wants.pool, str(wants.size), how, progress=progress, begun=_begun(run, "set-size")
        )
        # A rollback goes back to what was there before the first run.
        return again.model_copy(update={"wants": again.wants.model_copy(update={"had": wants.had})})
    if plan.change == recipes.SHRINK:
        at_once = max((len(s.hosts) for s in plan.steps if s.step == "pool_instances_removed"), default=1)
        names = [host.name for host in plan.hosts if host.name not in others]
        again = cloud_removal.prepare(
            session,
            names,
            drain,
            max_unavailable=at_once,
            autoscaler=wants.autoscaler,
            progress=progress,
            known=wants.machines,
        )
        return again.model_copy(update={"warnings": (*again.warnings, *_refilled(session, wants, again.wants))})
    if plan.change == recipes.CREATE and wants.spec:
        spec, verify = wants.spec, wants.verify is not None
        made = pools.create(session, spec.name, like=wants.pool, size=spec.size, verify=verify, again=True)
        return made.since(_there(run, wants))
    if plan.change == recipes.DELETE:
        return _deleted(session, plan, drain)
    if plan.change == recipes.AUTOSCALE and wants.autoscaling:
        bounds = wants.autoscaling
        # Where the cloud has no autoscaler, it was not asked to be off.
        off = not bounds.on and "autoscaler" in session.cloud.offers
        return pools.autoscale(session, wants.pool, low=bounds.min, high=bounds.max, off=off)
    if plan.change == recipes.MASTERS:
        # The step leaves out those that are masters already, and waits for all.
        return plan
    raise InputError(f"{plan.change} is not gone on with by its run")


def _deleted(session: CloudSession, plan: PoolPlan, drain: Drain) -> PoolPlan:
    pool = session.cloud.pool(plan.wants.pool)
    if pool is not None and pool.state != "deleting":
        return pools.delete(session, pool.id, drain)
    left = (StepSpec(step="pool_deleted", hosts=(plan.hosts[-1].name,)),)
    units = tuple(host for host in plan.hosts if host.what == "pool")
    return plan.model_copy(update={"hosts": units, "steps": left if pool else (), "seen": {}, "pods": ()})


def _refilled(session: CloudSession, first: Wants, again: Wants) -> list[str]:
    """Say which pools are asked to have more than was to be left: a run that was killed may not have lowered them."""
    told = []
    for pool in session.cloud.pools():
        going = sum(machine.pool == pool.id and bool(machine.instance) for machine in again.machines.values())
        left = first.sizes.get(pool.id, pool.target) + going
        if pool.target > left:
            told.append(
                f"pool {pool.name} is asked to have {pool.target} nodes, {left} were to be left: others come in place "
                f"of those that went; scaler scale --pool {pool.name} --to {left} takes away what came last"
            )
    return told


def _there(run: Run, first: Wants) -> dict[str, str] | None:
    """Return the Nodes that are no news: those that the change began with, and those that ``run`` itself has told."""
    told = [fact["there"] for fact in run.facts if "there" in fact]
    # One that was killed or stopped told its journal only.
    return told[-1] if told and run.status in {"done", "failed"} else first.there


def _begun(run: Run, change: str) -> Operation | None:
    """Return the last operation that the run noted."""
    told = [Operation.model_validate(fact["operation"]) for fact in run.facts if "operation" in fact]
    return next((operation for operation in reversed(told) if operation.change == change), None)
