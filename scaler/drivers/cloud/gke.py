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
from google.rpc.code_pb2 import Code

from scaler.drivers.cloud_gke_errors import cause_of, translate
from scaler.drivers.cloud_gke_groups import DELETED_AT_ONCE, TIMEOUT_SECONDS, Group, Groups
from scaler.errors import AmbiguousError, CloudError, ConflictError, InputError, NotOfferedError
from scaler.model.clouds import Gke as Settings
from scaler.model.pools import Operation, Pool, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.drivers.cloud import Doors, Offer
    from scaler.model.pools import Autoscaling, Change, Instance, PoolSpec, State

LABEL = "cloud.google.com/gke-nodepool"
Status, Done = container.NodePool.Status, container.Operation.Status.DONE
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
        return tuple(each for group in _groups(told) for each in self._groups.instances(group))

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Ask for a size, in each zone its share; raises InputError where the zones cannot have the same."""
        count = _in_each_zone(size, pool.zones)
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
        autoscaling = _autoscaling(wanted, told.autoscaling)
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
        count = _in_each_zone(spec.size, tuple(told.locations))
        request = container.CreateNodePoolRequest(parent=self._parent, node_pool=_like(told, spec, count))
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
        errors: list[CloudError] = []
        requests: list[str] = []
        for group in _groups(self._told(pool.id)):
            theirs = [each.id for each in self._groups.instances(group) if each.id in wanted]
            for at in range(0, len(theirs), DELETED_AT_ONCE):
                names, request = theirs[at : at + DELETED_AT_ONCE], str(uuid.uuid4())
                try:
                    operation = self._groups.delete(group, names, request)
                except CloudError as e:
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

    def masters(self) -> tuple[Instance, ...]:
        """GKE's masters are Google's."""
        raise NotOfferedError("the masters of a GKE cluster are Google's own")

    def add_masters(self, count: int) -> Operation:
        """GKE's masters are Google's."""
        raise NotOfferedError(f"the masters of a GKE cluster are Google's own; {count} more cannot be had")

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:
        """GKE's masters are Google's."""
        raise NotOfferedError(f"the masters of a GKE cluster are Google's own; {len(instances)} cannot be removed")

    def poll(self, operation: Operation) -> Progress:
        """Ask what has come of an operation; one that GKE has forgotten is read off the pool."""
        if operation.change == "remove-instances":
            return self._removal(operation)
        told = self._operation(operation.id) if operation.id else None
        if told is None:
            return self._as_wanted(operation)
        if told.status != Done:
            word = f"{told.operation_type.name} is {told.status.name}"
            return Progress(state="running", told=f"{word}: {told.detail}" if told.detail else word)
        troubles = _troubles(operation.pool, told)
        if operation.change in {"set-size", "create"}:
            return self._sized(operation, troubles)
        if troubles:
            return _ended("failed", troubles)
        return Progress(state="done")

    def _removal(self, operation: Operation) -> Progress:
        """Look which machines are left: Compute Engine's operation is DONE before a single one has gone."""
        troubles: list[Trouble] = []
        for each in operation.id.split():
            project, zone, name = each.split("/")
            told = self._groups.operation(project, zone, name)
            if told is not None and told.status != Done.name:
                return Progress(state="running", told=f"removal in {zone} is {told.status}")
            faults = told.error.errors if told is not None else ()
            troubles += [Trouble(what=zone, code=fault.code, message=fault.message) for fault in faults]
        groups = _groups(self._told(operation.pool))
        machines = [each for group in groups for each in self._groups.instances(group)]
        left = [each for each in machines if each.id in operation.instances]
        stay = [each for each in left if each.state != "leaving"] if operation.id else []
        if len(left) > len(stay):
            return Progress(state="running", told=f"{len(left) - len(stay)} machines are leaving")
        if not left:
            return Progress(state="done")
        skipped = "Compute Engine did not end it, as it was no machine of the group that could be ended"
        troubles += [Trouble(what=each.id, code="SKIPPED", message=skipped) for each in stay]
        return _ended("partial" if len(stay) < len(operation.instances) else "failed", troubles)

    def _as_wanted(self, operation: Operation) -> Progress:
        """Judge a change that has no operation by what the pool is now."""
        pool = self.pool(operation.pool)
        if pool is None:
            if operation.change == "delete":
                return Progress(state="done")
            return Progress(state="running" if operation.change == "create" else "failed", told="there is no such pool")
        if operation.change == "delete" or pool.state in {"changing", "deleting"}:
            return Progress(state="running", told=f"pool {pool.name} is {pool.told}")
        if pool.state == "failed":
            return _ended("failed", pool.troubles)
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
        machines = [each for group in _groups(told) for each in self._groups.instances(group)]
        reasons = [each.reason for each in machines if each.reason is not None]
        if not troubles and not reasons:
            return Progress(state="done")
        alive = sum(each.state in {"running", "starting"} for each in machines)
        arrived = alive > int(operation.more.get("before", "0"))
        return _ended("partial" if arrived else "failed", [*troubles, *reasons])

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
        sizes = [self._groups.sizes(group) for group in _groups(told)]
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
            told=Status(told.status).name,
            zones=tuple(told.locations),
            per_zone=len(told.locations) > 1,
            machine=told.config.machine_type,
            label=LABEL,
            value=told.name,
            troubles=tuple(_trouble("", each) for each in told.conditions),
        )

    def _begun(
        self, change: Change, pool: str, name: str, *, target: int | None = None, before: int | None = None
    ) -> Operation:
        more = {} if before is None else {"before": str(before)}
        return Operation(change=change, id=name, pool=pool, target=target, started=self._doors.clock.now(), more=more)


def _groups(told: container.NodePool | None) -> list[Group]:
    return [Group.at(url) for url in told.instance_group_urls] if told is not None else []


def _in_each_zone(size: int, zones: Sequence[str]) -> int:
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


def _autoscaling(wanted: Autoscaling, now: container.NodePoolAutoscaling) -> container.NodePoolAutoscaling:
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


def _like(told: container.NodePool, spec: PoolSpec, count: int) -> container.NodePool:
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
    if spec.autoscaling is not None:
        made.autoscaling = _autoscaling(spec.autoscaling, told.autoscaling)
    return made


def _trouble(what: str, condition: container.StatusCondition) -> Trouble:
    old = condition.code.name if condition.code else ""
    return Trouble(what=what, code=old or condition.canonical_code.name, message=condition.message)


def _troubles(pool: str, told: container.Operation) -> list[Trouble]:
    """Return why an operation failed; none where it did not."""
    found = [_trouble(pool, each) for each in (*told.nodepool_conditions, *told.cluster_conditions)]
    if told.error.code:
        return [Trouble(what=pool, code=Code.Name(told.error.code), message=told.error.message), *found]
    # Before there was `error`, a failure was told here.
    return [Trouble(what=pool, message=told.status_message), *found] if told.status_message else found


def _ended(state: str, troubles: Sequence[Trouble]) -> Progress:
    cause = cause_of(f"{trouble.code} {trouble.message}" for trouble in troubles)
    return Progress(state="partial" if state == "partial" else "failed", cause=cause, troubles=tuple(troubles))


def _code(error: CloudError) -> str:
    return "ambiguous" if isinstance(error, AmbiguousError) else error.code


DRIVER = Gke
