"""Node pools as GKE's messages tell them, and as they ask for new ones; nothing here asks anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.cloud import container_v1 as container

from scaler.drivers.cloud_gke_errors import cause_of
from scaler.drivers.cloud_gke_groups import Group
from scaler.errors import InputError
from scaler.model.pools import Pool, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import IntEnum

    from scaler.model.pools import Autoscaling, PoolSpec, State

LABEL = "cloud.google.com/gke-nodepool"
Status = container.NodePool.Status
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_STATES: dict[int, State] = {
    Status.PROVISIONING: "changing",
    Status.RUNNING: "ready",
    Status.RUNNING_WITH_ERROR: "degraded",
    Status.RECONCILING: "changing",
    Status.STOPPING: "deleting",
    Status.ERROR: "failed",
}
# What GKE tells of a pool and takes of none.
_TOLD_ONLY = (
    *("self_link", "status", "status_message", "conditions", "instance_group_urls", "pod_ipv4_cidr_size"),
    *("update_info", "etag", "kubelet_cert_info"),
)
_TOLD_ONLY_INSIDE = (
    ("config", "effective_cgroup_mode"),
    ("management", "upgrade_options"),
    # The range is there already, under the name that pod_range has; its addresses are told, not asked for.
    *(
        ("network_config", name)
        for name in ("pod_ipv4_cidr_block", "pod_ipv4_range_utilization", "network_tier_config")
    ),
)
_OWN_LABELS = "goog-"


def pool_of(told: container.NodePool, sizes: Sequence[tuple[int, int]]) -> Pool:
    """Return a pool whose groups have these sizes: wanted, and there."""
    least, most = _bounds(told)
    return Pool(
        id=told.name,
        name=told.name,
        target=sum(target for target, _ in sizes),
        actual=sum(actual for _, actual in sizes),
        min=least,
        max=most,
        autoscaled=told.autoscaling.enabled,
        state=_STATES.get(told.status, "changing"),
        told=word(Status, told.status),
        zones=tuple(told.locations),
        per_zone=len(told.locations) > 1,
        machine=told.config.machine_type,
        label=LABEL,
        value=told.name,
        troubles=tuple(_trouble("", each) for each in told.conditions),
    )


def groups_of(told: container.NodePool | None) -> list[Group]:
    """Return where the pool's groups are; a pool that is not there has none."""
    return [Group.at(url) for url in told.instance_group_urls] if told is not None else []


def in_each_zone(size: int, zones: Sequence[str]) -> int:
    """Return each zone's share of ``size``; raises InputError where they cannot be equal."""
    count, rest = divmod(size, max(len(zones), 1))
    if rest:
        raise InputError(
            f"{size} nodes cannot be spread evenly over {len(zones)} zones, and GKE counts by zone",
            hint=f"ask for {size - rest} or {size - rest + len(zones)}",
        )
    return count


def _bounds(told: container.NodePool) -> tuple[int | None, int | None]:
    """Return the bounds of the whole pool; GKE has those of a zone or those of all, and none without its autoscaler."""
    autoscaling = told.autoscaling
    if not autoscaling.enabled:
        return None, None
    if autoscaling.total_max_node_count:
        return autoscaling.total_min_node_count, autoscaling.total_max_node_count
    zones = max(len(told.locations), 1)
    return autoscaling.min_node_count * zones, autoscaling.max_node_count * zones


def autoscaling_of(wanted: Autoscaling, now: container.NodePoolAutoscaling) -> container.NodePoolAutoscaling:
    """Return what is to be set; GKE replaces all of it, so that what is not changed is said again."""
    if not wanted.on:
        return container.NodePoolAutoscaling(enabled=False)
    return container.NodePoolAutoscaling(
        enabled=True,
        total_min_node_count=wanted.min,
        total_max_node_count=wanted.max,
        location_policy=now.location_policy,
        autoprovisioned=now.autoprovisioned,
    )


def alike(told: container.NodePool, like: Pool, spec: PoolSpec, count: int) -> container.NodePool:
    """Return a new pool that is like ``told``, which is ``like``, with ``count`` nodes in each zone."""
    made = container.NodePool(told)
    raw = container.NodePool.pb(made)
    for name in _TOLD_ONLY:
        raw.ClearField(name)
    for part, name in _TOLD_ONLY_INSIDE:
        if raw.HasField(part):
            getattr(raw, part).ClearField(name)
    for name in [name for name in raw.config.resource_labels if name.startswith(_OWN_LABELS)]:
        del raw.config.resource_labels[name]
    made.name, made.initial_node_count = spec.name, count
    bounds = spec.bounds_like(like)
    if spec.autoscaling is not None or not like.has(bounds):
        made.autoscaling = autoscaling_of(bounds, told.autoscaling)
    return made


def word(kind: type[IntEnum], value: int) -> str:
    """Return Google's own word for a value; the number where it is younger than the SDK."""
    return next((each.name for each in kind if each == value), str(int(value)))


def _trouble(what: str, condition: container.StatusCondition) -> Trouble:
    old = word(container.StatusCondition.Code, condition.code) if condition.code else ""
    return Trouble(what=what, code=old or _CODES.get(condition.canonical_code, ""), message=condition.message)


def troubles_of(pool: str, told: container.Operation) -> list[Trouble]:
    """Return why an operation failed; none where it did not."""
    found = [_trouble(pool, each) for each in (*told.nodepool_conditions, *told.cluster_conditions)]
    if told.error.code:
        return [
            Trouble(what=pool, code=_CODES.get(told.error.code, str(told.error.code)), message=told.error.message),
            *found,
        ]
    # Before there was `error`, a failure was told here.
    return [Trouble(what=pool, message=told.status_message), *found] if told.status_message else found


def ended(state: str, troubles: Sequence[Trouble]) -> Progress:
    """Return the end of an operation that did not succeed, with the kind of error that its reasons are."""
    cause = cause_of(f"{trouble.code} {trouble.message}" for trouble in troubles)
    return Progress(state="partial" if state == "partial" else "failed", cause=cause, troubles=tuple(troubles))
