"""What ACK answers, as scaler's own values: pools, machines, tasks; and the body of a pool like another one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from alibabacloud_cs20151215 import models

from scaler.drivers import cloud_ack_errors as errors
from scaler.errors import NotOfferedError
from scaler.model.pools import Instance, Pool, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.pools import PoolSpec, State

LABEL = "alibabacloud.com/nodepool-id"
_STATES: dict[str, State] = {"active": "ready", "deleting": "deleting", "failed": "failed"}
# The API's filter has running, removing, initial and failed; its answers also have the words of ECS.
_MACHINES = {
    "running": "running",
    "removing": "leaving",
    "stopping": "leaving",
    "deleting": "leaving",
    "failed": "failed",
    "stopped": "failed",
}
_ENDED_WELL, _ENDED_BADLY = {"success"}, {"fail", "failed", "canceled", "cancelled", "timeout"}
_STANDARD = "ess"
# What only pools of other types have, and what a standard one is told to have nevertheless.
_NOT_STANDARD = ("count", "eflo_node_group", "host_network", "interconnect_config", "interconnect_mode", "intranet")
_SUBSCRIPTION = ("auto_renew", "auto_renew_period", "period", "period_unit")
# Zero is how ACK tells that these are not set, and no value that it takes.
_NEVER_ZERO = ("internet_max_bandwidth_out", "spot_instance_pools", "system_disk_provisioned_iops")
_RESERVED_TAGS = ("aliyun", "acs:")


def keeps_size(told: Any) -> bool:  # noqa: ANN401 - the SDK has no types
    """Tell whether ACK keeps an expected number of nodes for the pool; old ones and edge ones have none."""
    return told.scaling_group is not None and told.scaling_group.desired_size is not None


def pool_of(told: Any) -> Pool:  # noqa: ANN401 - as above
    """Return the pool that ACK told of, in a list or alone.

    Bounds hold only while the autoscaler is on. Where there is no expected number, what is there counts as asked for.
    """
    info, status, group, scaling = told.nodepool_info, told.status, told.scaling_group, told.auto_scaling
    word = (status.state if status else "") or ""
    broken = (status and status.failed_nodes) or 0
    actual = max(((status and status.total_nodes) or 0) - broken, 0)
    state: State = _STATES.get(word.lower(), "changing")
    autoscaled = bool(scaling and scaling.enable)
    return Pool(
        id=info.nodepool_id,
        name=info.name or info.nodepool_id,
        target=group.desired_size if keeps_size(told) else actual - ((status and status.removing_nodes) or 0),
        actual=actual,
        min=(scaling.min_instances or 0) if autoscaled else None,
        max=(scaling.max_instances or 0) if autoscaled else None,
        autoscaled=autoscaled,
        state="degraded" if state == "ready" and broken else state,
        told=word,
        machine=", ".join((group and group.instance_types) or ()),
        label=LABEL,
        value=info.nodepool_id,
        troubles=(Trouble(message=f"{broken} nodes could not be made"),) if broken else (),
    )


def instance_of(told: Any) -> Instance:  # noqa: ANN401 - as above
    """Return the machine that ACK told of."""
    word = (told.state or told.instance_status or "").lower()
    state = _MACHINES.get(word, "starting")
    said = told.error_message or (f"it is {word}" if state == "failed" else "")
    return Instance.model_validate(
        {
            "id": told.instance_id or told.node_name,
            # <region>.i-… or alicloud://<region>.i-…; machines that are none of ECS' have neither.
            "provider_id": f".{told.instance_id}" if (told.instance_id or "").startswith("i-") else "",
            "node": told.node_name or "",
            "state": state,
            "reason": Trouble(what=told.instance_id or "", message=said) if said else None,
        }
    )


def made_at(told: Any) -> datetime | None:  # noqa: ANN401 - as above
    """Return when a machine was made, None where ACK does not tell."""
    try:
        made = datetime.fromisoformat(told.creation_time or "")
    except ValueError:
        return None
    return made if made.tzinfo else None


def progress_of(task: Any) -> Progress:  # noqa: ANN401 - as above
    """Return what has come of a task; one that succeeded without some of its machines is partly done."""
    word = (task.state or "").lower()
    if word not in _ENDED_WELL | _ENDED_BADLY:
        return Progress(state="running", told=" ".join(filter(None, (task.task_type, word, task.current_stage))))
    results = task.task_result or []
    refused = [each.data or "" for each in results if each.status == "failed"]
    if word in _ENDED_WELL and not refused:
        return Progress(state="done", told=word)
    code, message = (task.error.code or "", task.error.message or "") if task.error else ("", "")
    told = [each for each in task.events or [] if (each.level or "").lower() == "error"]
    said = [Trouble(code=each.reason or "", message=each.message or word) for each in told]
    if message or code:
        said.insert(0, Trouble(code=code, message=message or code))
    said = said or [Trouble(message=f"the task {task.task_id} ended as {word}")]
    each_said = [
        Trouble(what=name, code=said[0].code, message=_about(name, told) or said[0].message) for name in refused
    ]
    arrived = word in _ENDED_WELL or any(each.status == "success" for each in results)
    return Progress(
        state="partial" if arrived else "failed",
        told=word,
        cause=errors.cause(said[0].code, said[0].message),
        troubles=tuple(each_said or said),
    )


def _about(name: str, events: Sequence[Any]) -> str:
    return next((each.message for each in events if name and name in (each.message or "")), "")


def pool_body(like: Any, spec: PoolSpec) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return the body that makes a pool like ``like`` (as ACK told it) with what ``spec`` says.

    What ACK told and does not take is what the SDK's own request has no field for. Raises NotOfferedError where the
    pool has what ACK keeps to itself.
    """
    name = like.nodepool_info.name
    if (like.nodepool_info.type or _STANDARD) != _STANDARD:
        raise NotOfferedError(
            f"pool {name} is of type {like.nodepool_info.type}: its nodes are not ACK's to make",
            hint="make the pool in ACK's console",
        )
    group = like.scaling_group
    if group is None or (not group.key_pair and group.login_password):
        raise NotOfferedError(
            f"pool {name} has a password for its nodes, and ACK does not tell it",
            hint="make the pool in ACK's console, or give that one a key pair",
        )
    body: dict[str, Any] = _without_empty(models.CreateClusterNodePoolRequest().from_map(like.to_map()).to_map())
    for field in (*_NOT_STANDARD, "max_nodes"):
        body.pop(field, None)
    _tidy(body["scaling_group"])
    body["nodepool_info"]["name"] = spec.name
    body["scaling_group"]["desired_size"] = spec.size
    body.pop("auto_scaling", None)
    wanted = spec.bounds_like(pool_of(like))
    if wanted.on:
        body["auto_scaling"] = scaling_body(like, low=wanted.min, high=wanted.max)
    return body


def scaling_body(told: Any, *, low: int, high: int) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return the autoscaler's settings of a pool with these bounds; what it was told to be otherwise stays."""
    there = _without_empty(told.auto_scaling.to_map()) if told.auto_scaling else {}
    if there.get("eip_bandwidth") == 0:
        del there["eip_bandwidth"]
    # What is left out, as the type, might be taken for its default.
    return {**there, "enable": True, "min_instances": low, "max_instances": high}


def _tidy(group: dict[str, Any]) -> None:
    group.pop("login_password", None)
    if group.get("security_group_ids"):
        group.pop("security_group_id", None)
    for field in _NEVER_ZERO:
        if group.get(field) == 0:
            del group[field]
    if group.get("instance_charge_type") != "PrePaid":
        for field in _SUBSCRIPTION:
            group.pop(field, None)
    tags = [tag for tag in group.pop("tags", []) if not str(tag.get("key")).startswith(_RESERVED_TAGS)]
    if tags:
        group["tags"] = tags


def _without_empty(told: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what says nothing: whether ACK takes an empty list for "none at all" is not known."""
    if isinstance(told, dict):
        kept = {name: _without_empty(value) for name, value in told.items()}
        return {name: value for name, value in kept.items() if value not in (None, "", [], {})}
    if isinstance(told, list):
        return [_without_empty(each) for each in told]
    return told
