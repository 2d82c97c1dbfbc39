"""Whether an autoscaler moves a pool: the cloud's own, or the Cluster Autoscaler, by the status that it keeps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scaler.errors import GuardError, InputError, NotOfferedError
from scaler.gateways.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from scaler.app.cloud_session import CloudSession
    from scaler.gateways.kube import JsonObject
    from scaler.model.pools import Pool
    from scaler.plan.pool_plan import Autoscaler, PoolPlan

STATUS = "cluster-autoscaler-status"
# It writes its status every ten seconds; so long it may be without a leader.
FRESH = timedelta(minutes=15)
# What is to be done instead of pinning or disabling it: it keeps to the bounds of its group.
_KEEP = "say --autoscaler keep, then scaler pool autoscale {pool} --min SIZE --max SIZE lets it have that size only"
_UPDATED = "cluster-autoscaler.kubernetes.io/last-updated"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)")
_GROUP = re.compile(r"^[ -]*name:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


def must_be_there(session: CloudSession, pool: Pool, autoscaler: Autoscaler) -> None:
    """Refuse to pin or disable what this cloud has not.

    Raises NotOfferedError where it has no autoscaler that can be switched, InputError where none is on that could be
    pinned. One that is off may be disabled: so is every one that a run has disabled which is gone on with.
    """
    if autoscaler not in {"pin", "disable"}:
        return
    if "autoscaler" not in session.cloud.offers:
        raise NotOfferedError(
            f"--autoscaler {autoscaler}: an autoscaler that can be switched is not offered by this provider "
            f"({session.cloud.title})",
            hint=f"leave it out; where a Cluster Autoscaler moves the pool: {_KEEP.format(pool=pool.name)}",
        )
    if autoscaler == "pin" and not pool.autoscaled:
        raise InputError(
            f"--autoscaler pin: no autoscaler moves pool {pool.name}",
            hint=f"leave it out; scaler pool autoscale {pool.name} --min SIZE --max SIZE puts one on it",
        )


def told(session: CloudSession, pools: Collection[Pool], plan: PoolPlan) -> PoolPlan:
    """Return ``plan`` with a warning where the Cluster Autoscaler may change the size of one of ``pools`` again.

    Only on clouds without an autoscaler of their own: the others tell of theirs. It has a pool where its status names
    the group, and may have it where the status is young. Raises GuardError where both are so and the plan changes the
    size of that pool, as for a pool whose autoscaler the cloud tells of, unless the operator said that it stays.
    """
    if plan.empty or not pools or "autoscaler" in session.cloud.offers:
        return plan
    try:
        found = session.kube.get("configmaps", [STATUS], namespace="kube-system")
    except KubeError as e:
        return _warned(plan, f"whether a Cluster Autoscaler is at work could not be read: {e.message}")
    for pool in pools if found else ():
        plan = _told_of(pool, plan, found[0], session.clock.now())
    return plan


def _told_of(pool: Pool, plan: PoolPlan, status: JsonObject, now: datetime) -> PoolPlan:
    text, at = str((status.get("data") or {}).get("status", "")), _updated(status)
    # Auto Scaling groups of EKS are called eks-<pool>-<UUID>.
    ours = re.compile(rf"(?:^|[-/]){re.escape(pool.name)}(?:$|-[0-9a-f]{{8}}-)")
    group = next((name for name in _GROUP.findall(text) if ours.search(name)), "")
    since = f"status of {at:%Y-%m-%d %H:%M} UTC" if at else "status"
    young = at is None or now - at < FRESH
    if group and young and not plan.wants.autoscaler and _resizes(plan, pool):
        raise GuardError(
            f"a Cluster Autoscaler has {group} in its {since}: it may change the size of pool {pool.name} again",
            hint=_KEEP.format(pool=pool.name),
        )
    if group:
        return _warned(plan, f"a Cluster Autoscaler has {group} in its {since}: it may change the size again")
    if young:
        return _warned(
            plan, f"a Cluster Autoscaler is at work ({since}): it may change the size again if it has the pool"
        )
    return plan


def _resizes(plan: PoolPlan, pool: Pool) -> bool:
    wants = plan.wants
    going = any(machine.instance and machine.pool == pool.id for machine in wants.machines.values())
    return going or (wants.size is not None and wants.size != wants.before)


def _updated(status: JsonObject) -> datetime | None:
    said = _TIME.search((status["metadata"].get("annotations") or {}).get(_UPDATED, ""))
    return datetime.fromisoformat(f"{said[1]}T{said[2]}").replace(tzinfo=UTC) if said else None


def _warned(plan: PoolPlan, warning: str) -> PoolPlan:
    # Of several pools each may tell the same.
    return plan.model_copy(update={"warnings": tuple(dict.fromkeys((*plan.warnings, warning)))})
