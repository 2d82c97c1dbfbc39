"""GKE of Google Cloud: node pools of one managed instance group in each zone.

GKE counts by zone, tells no size and has one operation at a time in a cluster. Sizes and machines are those of the
instance groups; an operation is DONE with an error as well as without.
"""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import urlsplit

from google.api_core.exceptions import NotFound
from google.cloud import container_v1 as container

from scaler.drivers.cloud_gke_errors import translate
from scaler.drivers.cloud_gke_groups import DELETED_AT_ONCE, TIMEOUT_SECONDS, Groups
from scaler.drivers.cloud_gke_pools import (
    Status,
    alike,
    autoscaling_of,
    ended,
    groups_of,
    in_each_zone,
    pool_of,
    troubles_of,
    word,
)
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    InputError,
    NotOfferedError,
    ScalerError,
    UnreachableError,
)
from scaler.model.clouds import Gke as Settings
from scaler.model.pools import Operation, Pool, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from scaler.drivers.cloud import Doors, Offer
    from scaler.drivers.cloud_gke_groups import Group
    from scaler.model.pools import Autoscaling, Change, Instance, PoolSpec

_MASTERS = "the masters of a GKE cluster are Google's own"
T = TypeVar("T")


class Gke:
    """One cluster of GKE's."""

    title: ClassVar[str] = "Google GKE"
    offers: ClassVar[frozenset[Offer]] = frozenset({"autoscaler", "create", "delete", "remove-instances"})

    def __init__(self, doors: Doors) -> None:
        if not isinstance(doors.cluster, Settings):
            raise InputError(f"cluster {doors.cluster.cluster_name} is none of GKE's")
        self._doors, self._cluster = doors, doors.cluster
        self._calls = doors.make_calls(translate)
        self._groups = Groups(doors, self._calls)
        self._place = f"projects/{self._cluster.project}/locations/{self._cluster.region}"
        self._parent = f"{self._place}/clusters/{self._cluster.cluster_id}"

    def pools(self) -> tuple[Pool, ...]:
        """Return all pools; GKE lists them on one page."""
        request = container.ListNodePoolsRequest(parent=self._parent)
        told = self._calls.read(lambda: self._client.list_node_pools(request, retry=None, timeout=TIMEOUT_SECONDS))
        return tuple(self._pool(each) for each in told.node_pools)

    def pool(self, pool_id: str) -> Pool | None:
        """Return one pool."""
        told = self._told(pool_id)
        return self._pool(told) if told is not None else None

    def instances(self, pool: Pool) -> tuple[Instance, ...]:
        """Return the machines of all groups of the pool."""
        told = self._told(pool.id)
        return tuple(each for group in groups_of(told) for each in self._groups.instances(group))

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Ask for a size, in each zone its share; raises InputError where the zones cannot have the same."""
        count = in_each_zone(size, pool.zones)
        request = container.SetNodePoolSizeRequest(name=self._name(pool.id), node_count=count)
        told = self._calls.absolute(
            lambda: self._client.set_node_pool_size(request, retry=None, timeout=TIMEOUT_SECONDS)
        )
        return self._begun("set-size", pool.id, told.name, target=size, before=pool.actual)

    def set_autoscaling(self, pool: Pool, wanted: Autoscaling) -> Operation:
        """Set bounds for the whole pool and switch the autoscaler on, or switch it off: then GKE keeps no bounds."""
        told = self._told(pool.id)
        if told is None:
            raise CloudError(f"there is no pool {pool.name} any more")
        autoscaling = autoscaling_of(wanted, told.autoscaling)
        request = container.SetNodePoolAutoscalingRequest(name=self._name(pool.id), autoscaling=autoscaling)
        begun = self._calls.absolute(
            lambda: self._client.set_node_pool_autoscaling(request, retry=None, timeout=TIMEOUT_SECONDS)
        )
        return self._begun("set-autoscaling", pool.id, begun.name)

    def create_like(self, like: Pool, spec: PoolSpec) -> Operation:
        """Make a pool with all that GKE tells of the other one and takes of a new one."""
        told = self._told(like.id)
        if told is None:
            raise CloudError(f"there is no pool {like.name} any more")
        count = in_each_zone(spec.size, tuple(told.locations))
        request = container.CreateNodePoolRequest(parent=self._parent, node_pool=alike(told, like, spec, count))
        begun = self._calls.once(lambda: self._client.create_node_pool(request, retry=None, timeout=TIMEOUT_SECONDS))
        return self._begun("create", spec.name, begun.name, target=spec.size)

    def delete(self, pool: Pool) -> Operation:
        """Delete the pool; one that is on its way out, or gone, is not asked for again."""
        request = container.DeleteNodePoolRequest(name=self._name(pool.id))

        def ask() -> str:
            try:
                return str(self._client.delete_node_pool(request, retry=None, timeout=TIMEOUT_SECONDS).name)
            except NotFound:
                return ""

        try:
            begun = "" if pool.state == "deleting" else self._calls.absolute(ask)
        except ConflictError:
            told = self._told(pool.id)
            if told is not None and told.status != Status.STOPPING:
                raise
            begun = ""
        return self._begun("delete", pool.id, begun, target=0)

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        """End these machines, in a request for each of their groups; the groups' sizes go down with them."""
        wanted = {each.id for each in instances}
        going: list[str] = []
        begun: list[str] = []
        troubles: list[Trouble] = []
        errors: list[ScalerError] = []
        requests: list[str] = []
        for group, names in self._by_group(pool, wanted):
            request = str(uuid.uuid4())
            try:
                operation = self._groups.delete(group, names, request)
            except (CloudError, UnreachableError) as e:
                errors.append(e)
                troubles += [Trouble(what=name, code=_code(e), message=e.message) for name in names]
                continue
            begun.append(f"{group.project}/{group.zone}/{operation}")
            requests.append(request)
            going += names
        if errors and not begun:
            raise next((e for e in errors if isinstance(e, AmbiguousError)), errors[0])
        listed = {*going, *(trouble.what for trouble in troubles)}
        return Operation(
            change="remove-instances",
            id=" ".join(begun),
            pool=pool.id,
            # A machine that no group has is gone.
            instances=(*going, *(each.id for each in instances if each.id not in listed)),
            started=self._doors.clock.now(),
            request=" ".join(requests),
            troubles=tuple(troubles),
        )

    def _by_group(self, pool: Pool, wanted: Collection[str]) -> list[tuple[Group, list[str]]]:
        """Return which of the machines are where, as many together as one request may end."""
        found: list[tuple[Group, list[str]]] = []
        for group in groups_of(self._told(pool.id)):
            theirs = [each.id for each in self._groups.instances(group) if each.id in wanted]
            cuts = range(0, len(theirs), DELETED_AT_ONCE)
            found += [(group, theirs[at : at + DELETED_AT_ONCE]) for at in cuts]
        return found

    def masters(self) -> tuple[Instance, ...]:
        """GKE's masters are Google's."""
        raise NotOfferedError(_MASTERS)

    def add_masters(self, machines: Sequence[str]) -> Operation:
        """GKE's masters are Google's."""
        raise NotOfferedError(f"{_MASTERS}; asked for: {', '.join(machines)}")

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:
        """GKE's masters are Google's."""
        raise NotOfferedError(f"{_MASTERS}; asked for: {', '.join(each.id for each in instances)}")

    def poll(self, operation: Operation) -> Progress:
        """Ask what has come of an operation; one that GKE has forgotten is read off the pool."""
        if operation.change == "remove-instances":
            return self._removal(operation)
        told = self._operation(operation.id) if operation.id else None
        if told is None:
            pool = self.pool(operation.pool)
            return self._as_wanted(operation, pool) if pool is not None else _without(operation)
        if told.status != container.Operation.Status.DONE:
            kind, status = container.Operation.Type, container.Operation.Status
            said = f"{word(kind, told.operation_type)} is {word(status, told.status)}"
            return Progress(state="running", told=f"{said}: {told.detail}" if told.detail else said)
        troubles = troubles_of(operation.pool, told)
        if operation.change in {"set-size", "create"}:
            return self._sized(operation, troubles)
        if troubles:
            return ended("failed", troubles)
        return Progress(state="done")

    def _removal(self, operation: Operation) -> Progress:
        """Look which machines are left: Compute Engine's operation is DONE before a single one has gone."""
        troubles: list[Trouble] = []
        for each in operation.id.split():
            project, zone, name = each.split("/")
            told = self._groups.operation(project, zone, name)
            if told is not None and told.status != "DONE":
                return Progress(state="running", told=f"removal in {zone} is {told.status}")
            faults = told.error.errors if told is not None else ()
            troubles += [Trouble(what=zone, code=fault.code, message=fault.message) for fault in faults]
        groups = groups_of(self._told(operation.pool))
        machines = [each for group in groups for each in self._groups.instances(group)]
        left = [each for each in machines if each.id in operation.instances]
        stay = [each for each in left if each.state != "leaving"] if operation.id else []
        if len(left) > len(stay):
            return Progress(state="running", told=f"{len(left) - len(stay)} machines are leaving")
        if not left:
            return Progress(state="done")
        skipped = "Compute Engine did not end it, as it was no machine of the group that could be ended"
        troubles += [Trouble(what=each.id, code="SKIPPED", message=skipped) for each in stay]
        return ended("partial" if len(stay) < len(operation.instances) else "failed", troubles)

    def _as_wanted(self, operation: Operation, pool: Pool) -> Progress:
        """Judge a change that has no operation by what the pool is now."""
        if operation.change == "delete" or pool.state in {"changing", "deleting"}:
            return Progress(state="running", told=f"pool {pool.name} is {pool.told}")
        if pool.state == "failed":
            return ended("failed", pool.troubles)
        if operation.change == "set-autoscaling":
            return Progress(state="done")
        moving = [each for each in self.instances(pool) if each.state in {"starting", "leaving"}]
        if pool.target != operation.target or moving:
            return Progress(
                state="running", told=f"{pool.actual} machines of {pool.target}, {len(moving)} on their way"
            )
        return self._sized(operation, [])

    def _sized(self, operation: Operation, troubles: Sequence[Trouble]) -> Progress:
        """Judge a size when GKE's work is over: machines that could not be started are no success, whatever it says."""
        told = self._told(operation.pool)
        machines = [each for group in groups_of(told) for each in self._groups.instances(group)]
        reasons = [each.reason for each in machines if each.reason is not None]
        if not troubles and not reasons:
            return Progress(state="done")
        alive = sum(each.state in {"running", "starting"} for each in machines)
        arrived = alive > int(operation.more.get("before", "0"))
        return ended("partial" if arrived else "failed", [*troubles, *reasons])

    @cached_property
    def _client(self) -> container.ClusterManagerClient:
        endpoint = self._doors.endpoint("gke")
        where = urlsplit(endpoint)
        if where.scheme == "http" or where.path:
            raise InputError(f"endpoint of gke: {endpoint}: Google's SDK talks TLS to a host and port only")
        options = {"api_endpoint": where.netloc} if where.netloc else None
        return container.ClusterManagerClient(transport=self._cluster.transport, client_options=options)

    def _told(self, pool_id: str) -> container.NodePool | None:
        request = container.GetNodePoolRequest(name=self._name(pool_id))
        return self._found(lambda: self._client.get_node_pool(request, retry=None, timeout=TIMEOUT_SECONDS))

    def _operation(self, name: str) -> container.Operation | None:
        request = container.GetOperationRequest(name=f"{self._place}/operations/{name}")
        return self._found(lambda: self._client.get_operation(request, retry=None, timeout=TIMEOUT_SECONDS))

    def _found(self, act: Callable[[], T]) -> T | None:
        def ask() -> T | None:
            try:
                return act()
            except NotFound:
                return None

        return self._calls.read(ask)

    def _name(self, pool_id: str) -> str:
        return f"{self._parent}/nodePools/{pool_id}"

    def _pool(self, told: container.NodePool) -> Pool:
        return pool_of(told, [self._groups.sizes(group) for group in groups_of(told)])

    def _begun(
        self, change: Change, pool: str, name: str, *, target: int | None = None, before: int | None = None
    ) -> Operation:
        more = {} if before is None else {"before": str(before)}
        return Operation(change=change, id=name, pool=pool, target=target, started=self._doors.clock.now(), more=more)


def _without(operation: Operation) -> Progress:
    """Judge a change of a pool that is not there."""
    if operation.change == "delete":
        return Progress(state="done")
    return Progress(state="running" if operation.change == "create" else "failed", told="there is no such pool")


def _code(error: ScalerError) -> str:
    return error.code if isinstance(error, CloudError) and not isinstance(error, AmbiguousError) else error.kind


DRIVER = Gke
