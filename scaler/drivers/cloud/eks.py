"""AWS' EKS: managed nodegroups, and the Auto Scaling groups below them.

EKS sets sizes and bounds, makes and deletes. What is really there, why something is not, and the removal of one machine
are Auto Scaling's. Nothing else of those groups is touched: they are EKS'.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, NoReturn

from scaler.drivers import cloud_eks_progress as progress
from scaler.drivers import cloud_eks_told as told
from scaler.drivers.cloud_eks_wire import Wire, request_of
from scaler.errors import AmbiguousError, CloudError, InputError, NotOfferedError, ScalerError
from scaler.model.pools import Operation, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_eks.type_defs import NodegroupScalingConfigTypeDef

    from scaler.drivers.cloud import Doors, Offer
    from scaler.model.pools import Autoscaling, Change, Instance, Pool, PoolSpec

# What AWS takes in a launch template or in the nodegroup, never in both; EKS tells it of the nodegroup all the same.
_IN_TEMPLATE = frozenset({"diskSize", "remoteAccess"})
_IN_IMAGE = frozenset({"version", "releaseVersion"})


class EksCloud:
    """The nodegroups of one EKS cluster."""

    title: ClassVar[str] = "AWS EKS"
    offers: ClassVar[frozenset[Offer]] = frozenset({"create", "delete", "remove-instances"})

    def __init__(self, doors: Doors) -> None:
        self._clock = doors.clock
        looks = doors.environment.get("SCALER_POLL_SECONDS") or doors.cluster.poll_seconds
        self._grace = progress.grace(float(looks))
        self._wire = Wire(doors)

    def pools(self) -> tuple[Pool, ...]:
        """Return all nodegroups; one that goes while they are read is left out."""
        found = [one for name in self._wire.names() if (one := self._wire.nodegroup(name))]
        return tuple(self._pool(one, below) for one, below in zip(found, self._wire.groups(found), strict=True))

    def pool(self, pool_id: str) -> Pool | None:
        """Return one nodegroup; None where there is none."""
        one = self._wire.nodegroup(pool_id)
        return self._pool(one, self._below(one)) if one else None

    def instances(self, pool: Pool) -> tuple[Instance, ...]:
        """Return the instances of the nodegroup's group; one that could not be started has no ID, and is none."""
        one = self._wire.nodegroup(pool.id)
        return self._below(one).instances if one else ()

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Set desiredSize, and nothing else."""
        return self._scaled(pool, "set-size", size, {"desiredSize": size})

    def set_autoscaling(self, pool: Pool, wanted: Autoscaling) -> Operation:
        """Set minSize and maxSize; EKS refuses bounds that its desiredSize is not within.

        Raises InputError for a maximum of 0, which EKS has not.
        """
        if wanted.max < 1:
            raise InputError(f"{pool.name}: max 0 cannot be: EKS' smallest is 1", hint="min 0 and size 0 can be")
        return self._scaled(pool, "set-autoscaling", None, {"minSize": wanted.min, "maxSize": wanted.max})

    def create_like(self, like: Pool, spec: PoolSpec) -> Operation:
        """Make a nodegroup with all that EKS both tells of ``like`` and takes for a new one.

        Raises CloudError where ``like`` is not there (any more).
        """
        found = self._wire.described(like.id)
        if found is None:
            raise CloudError(f"{like.name}: there is no such nodegroup to make another one like")
        left = _IN_TEMPLATE if found.get("launchTemplate") else frozenset()
        # With an image of the customer's own, its template says which version that is.
        left |= _IN_IMAGE if found.get("amiType") == "CUSTOM" else frozenset()
        body = {name: value for name, value in found.items() if name in self._wire.writable() - left and value}
        if template := body.get("launchTemplate"):
            # By its ID or by its name; EKS tells both.
            body["launchTemplate"] = {"id": template["id"], "version": template["version"]}
        # Tags of AWS' own are not for customers to write.
        body["tags"] = {key: value for key, value in found.get("tags", {}).items() if not key.startswith("aws:")}
        body["nodegroupName"] = spec.name
        bounds = spec.bounds_like(like)
        # EKS' smallest maximum is 1.
        body["scalingConfig"] = {"minSize": bounds.min, "maxSize": max(bounds.max, 1), "desiredSize": spec.size}
        started = self._clock.now()
        answer = self._wire.create(body)
        return Operation(
            change="create",
            pool=spec.name,
            target=spec.size,
            started=started,
            request=request_of(answer),
            more={"since": answer["nodegroup"]["createdAt"].isoformat(), "had": "0"},
        )

    def delete(self, pool: Pool) -> Operation:
        """Delete the nodegroup; EKS drains and ends its machines."""
        started = self._clock.now()
        answer = None if pool.state == "deleting" else self._wire.delete(pool.id)
        return Operation(change="delete", pool=pool.id, started=started, request=request_of(answer))

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        """End these machines, one request each, and lower the group's size with each.

        What has nothing to do with the machine (credentials, throttling, a conflict) ends the row: it is raised where
        none was ended before, and else a trouble of all that are left.
        """
        started = self._clock.now()
        gone: list[str] = []
        troubles: list[Trouble] = []
        requests: list[str] = []
        for at, instance in enumerate(instances):
            try:
                requests.append(request_of(self._wire.end(instance.id)))
                gone.append(instance.id)
            except ScalerError as e:
                own = isinstance(e, AmbiguousError) or type(e) is CloudError
                unknown = isinstance(e, AmbiguousError) and len(instances) == 1
                nothing_yet = not gone and not any(trouble.code == AmbiguousError.kind for trouble in troubles)
                if unknown or (not own and nothing_yet):
                    raise
                hit = [instance] if own else instances[at:]
                troubles += [Trouble(what=one.id, code=_code(e), message=e.message) for one in hit]
                if not own:
                    break
        return Operation(
            change="remove-instances",
            pool=pool.id,
            target=max(pool.target - len(gone), 0),
            instances=tuple(gone),
            started=started,
            request=requests[-1] if requests else "",
            troubles=tuple(troubles),
        )

    def masters(self) -> tuple[Instance, ...]:
        """Raise: the control plane is AWS'."""
        self._not_offered()

    def add_masters(self, machines: Sequence[str]) -> Operation:  # noqa: ARG002 - the contract's
        """Raise: the control plane is AWS'."""
        self._not_offered()

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:  # noqa: ARG002 - the contract's
        """Raise: the control plane is AWS'."""
        self._not_offered()

    def poll(self, operation: Operation) -> Progress:
        """Ask EKS about the update where there is one, then whether the group below is as wanted."""
        if operation.id and (update := self._wire.update(operation.pool, operation.id)):
            going = progress.of_update(update)
            if going or operation.change == "set-autoscaling":
                return going or Progress(state="done", told="EKS: the update is successful")
        one = self._wire.nodegroup(operation.pool)
        if operation.change == "delete":
            return _deleted(one)
        if operation.change == "remove-instances":
            return self._removed(operation, one)
        if one is None:
            return progress.failed((), f"there is no nodegroup {operation.pool}")
        if going := progress.of_status(one):
            return going
        return _bounded(operation, one) if operation.change == "set-autoscaling" else self._sized(operation, one)

    def _pool(self, one: told.Nodegroup, below: told.Group) -> Pool:
        failures: tuple[Trouble, ...] = ()
        if len(below.instances) < below.desired:
            now = self._clock.now()
            failures = told.recent(self._wire.activities(one, now - told.RECENT), now)
        return told.pool(one, below, failures)

    def _below(self, one: told.Nodegroup) -> told.Group:
        return self._wire.groups([one])[0]

    def _scaled(
        self, pool: Pool, change: Change, target: int | None, scaling: NodegroupScalingConfigTypeDef
    ) -> Operation:
        started = self._clock.now()
        answer = self._wire.scale(pool.id, scaling)
        since: datetime | None = answer["update"].get("createdAt")
        bounds = {name: str(value) for name, value in scaling.items() if name != "desiredSize"}
        return Operation(
            change=change,
            id=answer["update"]["id"],
            pool=pool.id,
            target=target,
            started=started,
            request=request_of(answer),
            more=progress.remembered(pool, since) | bounds,
        )

    def _sized(self, operation: Operation, one: told.Nodegroup) -> Progress:
        below = self._below(one)
        if going := progress.of_size(operation, below):
            return going
        activities = self._wire.activities(one, progress.since(operation))
        ends = [activity.ended for activity in activities if activity.ended]
        waited = self._clock.now() - max(ends) if ends else timedelta()
        return progress.of_shortage(operation, one, below, activities, waited - self._grace)

    def _removed(self, operation: Operation, one: told.Nodegroup | None) -> Progress:
        there = {instance.id for instance in self._below(one).instances} if one else set()
        left = sorted(there & set(operation.instances))
        return Progress(state="running" if left else "done", told=f"still there: {', '.join(left)}" if left else "")

    def _not_offered(self) -> NoReturn:
        raise NotOfferedError(f"{self.title}: masters are AWS' own, and no call adds or removes one")


def _code(error: ScalerError) -> str:
    if isinstance(error, AmbiguousError):
        return AmbiguousError.kind
    return (error.code if isinstance(error, CloudError) else "") or error.kind


def _deleted(one: told.Nodegroup | None) -> Progress:
    if one is None:
        return Progress(state="done", told="it is gone")
    if one.status == "DELETE_FAILED":
        return progress.failed(one.issues, "EKS: DELETE_FAILED")
    return Progress(state="running", told=f"EKS: {one.status}")


def _bounded(operation: Operation, one: told.Nodegroup) -> Progress:
    wanted = operation.more.get("minSize", str(one.min)), operation.more.get("maxSize", str(one.max))
    done = wanted == (str(one.min), str(one.max))
    return Progress(state="done" if done else "running", told=f"min {one.min}, max {one.max}")


DRIVER = EksCloud
