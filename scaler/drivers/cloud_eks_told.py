"""What EKS and Auto Scaling say of a nodegroup, as values: no dict of the SDK's travels further than here."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from scaler.drivers.cloud_eks_errors import code_in
from scaler.model.base import Value
from scaler.model.pools import Instance, Pool, State, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LABEL = "eks.amazonaws.com/nodegroup"

# A group that is short of instances tries again every few minutes, so what holds now has failed within this time.
RECENT = timedelta(minutes=30)
_STATES: dict[str, State] = {
    "CREATING": "changing",
    "ACTIVE": "ready",
    "UPDATING": "changing",
    "DELETING": "deleting",
    "CREATE_FAILED": "failed",
    "DELETE_FAILED": "failed",
    "DEGRADED": "degraded",
}
_ENDS = {"Successful", "Failed", "Cancelled"}


class Nodegroup(Value):
    """A nodegroup as EKS describes it; ``groups`` are the names of its Auto Scaling groups, none before it has one."""

    name: str
    status: str
    min: int
    max: int
    desired: int
    groups: tuple[str, ...]
    machine: str
    issues: tuple[Trouble, ...]


class Group(Value):
    """The Auto Scaling groups of one nodegroup taken together: AWS makes one, and says there may be several."""

    desired: int = 0
    zones: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = ()

    @property
    def settled(self) -> bool:
        """Tell whether no instance comes or goes."""
        return all(instance.state == "running" for instance in self.instances)


class Activity(Value):
    """One scaling activity; ``ended`` is None while it goes on."""

    failed: bool
    started: datetime
    ended: datetime | None
    trouble: Trouble


def nodegroup(told: Mapping[str, Any]) -> Nodegroup:
    """Read EKS' answer to DescribeNodegroup."""
    scaling = told.get("scalingConfig", {})
    issues = told.get("health", {}).get("issues", [])
    groups = told.get("resources", {}).get("autoScalingGroups", [])
    return Nodegroup(
        name=told["nodegroupName"],
        status=told["status"],
        min=scaling.get("minSize", 0),
        max=scaling.get("maxSize", 0),
        desired=scaling.get("desiredSize", 0),
        groups=tuple(group["name"] for group in groups),
        machine=",".join(told.get("instanceTypes", [])),
        issues=tuple(_issue(issue) for issue in issues),
    )


def group(told: Sequence[Mapping[str, Any]]) -> Group:
    """Read the groups that DescribeAutoScalingGroups told of one nodegroup."""
    return Group(
        desired=sum(one["DesiredCapacity"] for one in told),
        zones=tuple(sorted({zone for one in told for zone in one["AvailabilityZones"]})),
        instances=tuple(_instance(instance) for one in told for instance in one.get("Instances", [])),
    )


def activity(told: Mapping[str, Any]) -> Activity:
    """Read one activity of DescribeScalingActivities."""
    message = told.get("StatusMessage", "")
    ended = told["StatusCode"] in _ENDS
    return Activity(
        failed=told["StatusCode"] == "Failed",
        started=told["StartTime"],
        ended=told.get("EndTime", told["StartTime"]) if ended else None,
        trouble=Trouble(
            what=_zone(told.get("Details", "")), code=code_in(message), message=message or "no reason told"
        ),
    )


def errors(told: Iterable[Mapping[str, Any]]) -> tuple[Trouble, ...]:
    """Read the errors of an update that failed."""
    return tuple(
        Trouble(
            what=", ".join(error.get("resourceIds", [])),
            code=error.get("errorCode", ""),
            message=error.get("errorMessage", "no reason told"),
        )
        for error in told
    )


def recent(activities: Iterable[Activity], now: datetime) -> tuple[Trouble, ...]:
    """Return why instances are missing now, each reason once."""
    return distinct(one.trouble for one in activities if one.failed and one.started >= now - RECENT)


def distinct(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Return each reason once: a group tries again and again, and fails as often."""
    return tuple(dict.fromkeys(troubles))


def pool(one: Nodegroup, below: Group, failures: tuple[Trouble, ...]) -> Pool:
    """Return the pool that a nodegroup and the group below it are.

    The group's own number is the target: removals and autoscalers move it, and EKS' number follows later. While EKS is
    at work it is the other way round.
    """
    state = _STATES.get(one.status, "changing")
    return Pool(
        id=one.name,
        name=one.name,
        target=below.desired if one.groups and state != "changing" else one.desired,
        actual=len(below.instances),
        min=one.min,
        max=one.max,
        # EKS tags every group for the Cluster Autoscaler, whether one runs or not: its API cannot tell.
        autoscaled=False,
        state=state,
        told=one.status,
        zones=below.zones,
        machine=one.machine,
        label=LABEL,
        value=one.name,
        troubles=distinct((*one.issues, *failures)),
    )


def _issue(told: Mapping[str, Any]) -> Trouble:
    what = ", ".join(told.get("resourceIds", []))
    return Trouble(what=what, code=told.get("code", ""), message=told.get("message", "no reason told"))


def _instance(told: Mapping[str, Any]) -> Instance:
    zone, instance = told["AvailabilityZone"], told["InstanceId"]
    # As the cloud provider of AWS writes it into the Node.
    return Instance(
        id=instance, provider_id=f"aws:///{zone}/{instance}", state=_life(told["LifecycleState"]), zone=zone
    )


def _life(told: str) -> Literal["running", "starting", "leaving"]:
    word = told.split(":", maxsplit=1)[0]
    if word in {"Pending", "Warmed"}:
        return "starting"
    return "leaving" if word in {"Terminating", "Terminated", "Detaching", "Detached", "Quarantined"} else "running"


def _zone(details: str) -> str:
    try:
        told = json.loads(details)
    except ValueError:
        return ""
    return str(told.get("Availability Zone", "")) if isinstance(told, dict) else ""
