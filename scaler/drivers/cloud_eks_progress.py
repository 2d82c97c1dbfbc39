"""What has come of a change at EKS, from what EKS and Auto Scaling say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scaler.drivers import cloud_eks_told as told
from scaler.drivers.cloud_eks_errors import cause_of, code_in
from scaler.model.pools import Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from scaler.drivers.cloud_eks_told import Activity, Group, Nodegroup
    from scaler.model.pools import Operation, Pool

# A group that fails in one zone tries its others: only after this many looks without a launch is that the end of it.
_LOOKS = 3
# EKS' word for what the group's own activities tell in full.
_SAME = "AsgInstanceLaunchFailures"


def remembered(pool: Pool, since: datetime | None) -> dict[str, str]:
    """Return what a later poll must know: how many there were, what was wrong already, and AWS' own time."""
    codes = sorted({trouble.code for trouble in pool.troubles if trouble.code})
    more = {"had": str(pool.actual), "before": " ".join(codes)}
    return more | ({"since": since.isoformat()} if since else {})


def since(operation: Operation) -> datetime:
    """Return when the change began, by AWS' clock where its answer told."""
    said = operation.more.get("since", "")
    began = datetime.fromisoformat(said) if said else operation.started
    # Auto Scaling tells whole seconds.
    return began.replace(microsecond=0)


def failed(troubles: Sequence[Trouble], said: str) -> Progress:
    """Return an end where nothing came of it; its kind is that of the first trouble that has one."""
    codes = [code for trouble in troubles for code in (trouble.code, code_in(trouble.message))]
    cause = next((cause for code in codes if (cause := cause_of(code)) != "cloud"), "cloud")
    return Progress(state="failed", told=said, cause=cause, troubles=tuple(troubles))


def of_update(update: Mapping[str, Any]) -> Progress | None:
    """Return where an update stands; None where it is over and well, and the instances are what counts."""
    status = str(update["status"])
    if status == "Successful":
        return None
    if status == "InProgress":
        return Progress(state="running", told="EKS: the update is in progress")
    return failed(told.errors(update.get("errors", [])), f"EKS: the update is {status}")


def of_status(one: Nodegroup) -> Progress | None:
    """Return where a nodegroup stands that is not to be deleted; None where its instances are what counts."""
    if one.status in {"CREATING", "UPDATING"}:
        return Progress(state="running", told=f"EKS: {one.status}")
    if one.status in {"CREATE_FAILED", "DELETE_FAILED", "DELETING"}:
        return failed(one.issues, f"EKS: {one.status}")
    return None


def of_size(operation: Operation, below: Group) -> Progress | None:
    """Return where a group stands on its way to the target; None where it is short, and its activities tell why."""
    target = operation.target or 0
    if below.desired != target:
        if not operation.id:
            return Progress(state="running", told=f"the group's size is {below.desired}, not {target}")
        # The update was successful, so the group had our size: that is somebody else's.
        other = Trouble(message=f"the group was set to {target}, and somebody else set it to {below.desired}")
        return Progress(state="failed", told=other.message, cause="conflict", troubles=(other,))
    number = f"{len(below.instances)} of {target} instances"
    if len(below.instances) == target and below.settled:
        return Progress(state="done", told=number)
    if len(below.instances) >= target or not below.settled:
        return Progress(state="running", told=number)
    return None


def of_shortage(
    operation: Operation, one: Nodegroup, below: Group, activities: Sequence[Activity], waited: timedelta
) -> Progress:
    """Return what became of a group that has fewer instances than it should, and starts none now.

    ``waited`` is how long ago its last activity ended.
    """
    target, there = operation.target or 0, len(below.instances)
    said = f"{there} of {target} instances"
    failures = [activity.trouble for activity in activities if activity.failed]
    going = any(activity.ended is None for activity in activities)
    if not failures or going or waited < timedelta():
        return Progress(state="running", told=said)
    before = operation.more.get("before", "").split()
    issues = [issue for issue in one.issues if issue.code not in {*before, _SAME}]
    troubles = told.distinct([*failures, *issues])
    came = there > int(operation.more.get("had", "0"))
    end = failed(troubles, said)
    return end.model_copy(update={"state": "partial"}) if came else end


def grace(poll_seconds: float) -> timedelta:
    """Return how long a group is given to try its other zones."""
    return timedelta(seconds=_LOOKS * poll_seconds)
