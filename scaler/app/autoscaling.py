"""Whether an autoscaler is at work that the cloud knows nothing of: the Cluster Autoscaler, by the status it keeps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scaler.gateways.kube import KubeError

if TYPE_CHECKING:
    from scaler.app.cloud_session import CloudSession
    from scaler.gateways.kube import JsonObject
    from scaler.model.pools import Pool
    from scaler.plan.pool_plan import PoolPlan

STATUS = "cluster-autoscaler-status"
# It writes its status every ten seconds; so long it may be without a leader.
FRESH = timedelta(minutes=15)
_UPDATED = "cluster-autoscaler.kubernetes.io/last-updated"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)")
_GROUP = re.compile(r"^[ -]*name:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


def told(session: CloudSession, pool: Pool, plan: PoolPlan) -> PoolPlan:
    """Return ``plan`` with a warning where the Cluster Autoscaler may change the size again.

    Only on clouds without an autoscaler of their own: the others tell of theirs. It has ``pool`` where its status names
    the group, and may have it where the status is young.
    """
    if plan.empty or "autoscaler" in session.cloud.offers:
        return plan
    try:
        found = session.kube.get("configmaps", [STATUS], namespace="kube-system")
    except KubeError as e:
        return _warned(plan, f"whether a Cluster Autoscaler is at work could not be read: {e.message}")
    if not found:
        return plan
    text, at = str((found[0].get("data") or {}).get("status", "")), _updated(found[0])
    # Auto Scaling groups of EKS are called eks-<pool>-<UUID>.
    ours = re.compile(rf"(?:^|[-/]){re.escape(pool.name)}(?:$|-[0-9a-f]{{8}}-)")
    group = next((name for name in _GROUP.findall(text) if ours.search(name)), "")
    since = f"status of {at:%Y-%m-%d %H:%M} UTC" if at else "status"
    if group:
        return _warned(plan, f"a Cluster Autoscaler has {group} in its {since}: it may change the size again")
    if at is None or session.clock.now() - at < FRESH:
        return _warned(
            plan, f"a Cluster Autoscaler is at work ({since}): it may change the size again if it has the pool"
        )
    return plan


def _updated(status: JsonObject) -> datetime | None:
    said = _TIME.search((status["metadata"].get("annotations") or {}).get(_UPDATED, ""))
    return datetime.fromisoformat(f"{said[1]}T{said[2]}").replace(tzinfo=UTC) if said else None


def _warned(plan: PoolPlan, warning: str) -> PoolPlan:
    return plan.model_copy(update={"warnings": (*plan.warnings, warning)})
