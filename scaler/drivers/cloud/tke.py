"""TKE of Tencent Cloud: regular pools (scaling groups of CVMs) and native ones, and masters of independent clusters.

TKE has no operations: a write answers with a request's ID only, and what has come of it is read off the pool and its
machines. It tells the machines that it could not start as ``failed`` ones.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from tencentcloud.common.credential import Credential, DefaultCredentialProvider
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.tke.v20180525.tke_client import TkeClient as TkeClient2018
from tencentcloud.tke.v20220501.tke_client import TkeClient as TkeClient2022

from scaler.drivers import cloud_tke_api as api
from scaler.drivers.cloud_tke_removal import removed
from scaler.errors import CredentialsError, NotOfferedError, QuotaError, SoldOutError
from scaler.model.pools import Instance, Operation, Pool, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from scaler.drivers.cloud import Doors, Offer
    from scaler.model.pools import Autoscaling, Change, PoolSpec

LABEL = "tke.cloud.tencent.com/nodepool-id"
# The API's own limit for a page.
PAGE = 100
REGULAR, NATIVE = "Regular", "Native"
_STATES = {"normal": "ready", "running": "ready", "deleting": "deleting", "deleted": "deleting", "abnormal": "degraded"}
_MACHINES = {"running": "running", "initializing": "starting", "failed": "failed"}
# What a pool that is to be like another one gets of it; what is not here, the API sets or does not tell.
_COPIED = ("Labels", "Taints", "Tags", "DeletionProtection", "Unschedulable", "Annotations")
_COPIED_NATIVE = (
    *("SubnetIds", "InstanceChargeType", "SystemDisk", "InstanceTypes", "SecurityGroupIds", "UpgradeSettings"),
    *("AutoRepair", "InstanceChargePrepaid", "Management", "HealthCheckPolicyName", "HostNamePattern", "KubeletArgs"),
    *("Lifecycle", "RuntimeRootDir", "KeyIds", "DataDisks", "InternetAccessible", "MachineType", "CustomImage"),
)
T = TypeVar("T", bound=api.Told)


class Tke:
    """One cluster of TKE's."""

    title: ClassVar[str] = "Tencent Cloud TKE"
    offers: ClassVar[frozenset[Offer]] = frozenset(
        {"autoscaler", "create", "delete", "remove-instances", "add-masters"}
    )

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._cluster = doors.cluster.cluster_id
        self._calls = doors.make_calls(api.translate)
        self._clients: dict[str, Any] = {}

    def pools(self) -> tuple[Pool, ...]:
        """Return the regular and native pools; super nodes and machines of other owners have no size to set."""
        told = [pool for page in self._pool_pages({}) for pool in page]
        return tuple(_pool(each) for each in told if each.type in {REGULAR, NATIVE})

    def pool(self, pool_id: str) -> Pool | None:
        """Return one pool."""
        told = self._told(pool_id)
        return _pool(told) if told else None

    def instances(self, pool: Pool) -> tuple[Instance, ...]:
        """Return the machines of a pool."""
        more = {"Filters": [{"Name": "nodepool-id", "Values": [pool.id]}]}
        return tuple(_instance(each) for each in self._machines(more))

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Ask for a size."""
        if self._is_native(pool):
            action, version, params = "ScaleNodePool", TkeClient2022, {"Replicas": size}
        else:
            action, version, params = "ModifyNodePoolDesiredCapacityAboutAsg", TkeClient2018, {"DesiredCapacity": size}
        broken = [each.id for each in self.instances(pool) if each.state == "failed"]
        done = self._write(version, action, {"NodePoolId": pool.id, **params})
        return self._operation("set-size", pool.id, done, target=size, more={"failed": " ".join(broken)})

    def set_autoscaling(self, pool: Pool, wanted: Autoscaling) -> Operation:
        """Set bounds and the autoscaler; the size is another request's, since TKE refuses both in one."""
        if self._is_native(pool):
            scaling = {"MinReplicas": wanted.min, "MaxReplicas": wanted.max}
            native = {"EnableAutoscaling": wanted.on, "Scaling": scaling}
            done = self._write(TkeClient2022, "ModifyNodePool", {"NodePoolId": pool.id, "Native": native})
        else:
            bounds = {"EnableAutoscale": wanted.on, "MinNodesNum": wanted.min, "MaxNodesNum": wanted.max}
            done = self._write(TkeClient2018, "ModifyClusterNodePool", {"NodePoolId": pool.id, **bounds})
        return self._operation("set-autoscaling", pool.id, done)

    def create_like(self, like: Pool, spec: PoolSpec) -> Operation:
        """Make a native pool like another one; a regular pool's scaling group is not told by TKE's API."""
        if not self._is_native(like):
            raise NotOfferedError(
                f"pool {like.name} is a regular one: TKE does not tell its scaling group, so it cannot be copied",
                hint="make it in the console, or copy a native pool",
            )
        raw = self._raw(like.id)
        native = {name: raw["Native"][name] for name in _COPIED_NATIVE if raw["Native"].get(name) is not None}
        bounds = spec.bounds_like(like)
        old = {name: value for name, value in (raw["Native"].get("Scaling") or {}).items() if value is not None}
        native |= {
            "Scaling": old | {"MinReplicas": bounds.min, "MaxReplicas": bounds.max},
            "EnableAutoscaling": bounds.on,
            "Replicas": spec.size,
        }
        common = {name: raw[name] for name in _COPIED if raw.get(name) is not None}
        params = {"Name": spec.name, "Type": NATIVE, **common, "Native": native}
        done = self._calls.once(lambda: self._call(TkeClient2022, "CreateNodePool", params, api.Done))
        return self._operation("create", done.node_pool_id or spec.name, done, target=spec.size)

    def delete(self, pool: Pool) -> Operation:
        """Delete a pool with its machines."""
        if self._is_native(pool):
            done = self._write(TkeClient2022, "DeleteNodePool", {"NodePoolId": pool.id})
        else:
            params = {"NodePoolIds": [pool.id], "KeepInstance": False}
            done = self._write(TkeClient2018, "DeleteClusterNodePool", params)
        return self._operation("delete", pool.id, done, target=0)

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        """End these machines; a native pool's size goes down with them."""
        if self._is_native(pool):
            params = {"MachineNames": [each.id for each in instances], "EnableScaleDown": True}
            done = self._calls.once(lambda: self._call(TkeClient2022, "DeleteClusterMachines", params, api.Done))
            return self._operation("remove-instances", pool.id, done, instances=[each.id for each in instances])

        def send(names: list[str], force: bool) -> api.Deleted:  # noqa: FBT001 - as the API's own
            params = {
                "InstanceIds": names,
                "InstanceDeleteMode": "terminate",
                **({"ForceDelete": True} if force else {}),
            }
            return self._calls.once(partial(self._call, TkeClient2018, "DeleteClusterInstances", params, api.Deleted))

        ended = removed(instances, send)
        return Operation(
            change="remove-instances",
            pool=pool.id,
            instances=ended.going,
            started=self._doors.clock.now(),
            request=" ".join(ended.requests),
            troubles=ended.troubles,
        )

    def masters(self) -> tuple[Instance, ...]:
        """Return the masters of an independent cluster."""
        self._must_be_independent()
        return tuple(_instance(each) for each in self._machines({"InstanceRole": "MASTER_ETCD"}))

    def add_masters(self, machines: Sequence[str]) -> Operation:
        """Make masters of CVMs that are there: TKE installs their system anew."""
        there = len([each for each in self.masters() if each.state != "failed"])
        one = {"NodeRole": "MASTER_ETCD", "ExistedInstancesPara": {"InstanceIds": list(machines)}}
        params = {"ExistedInstancesForNode": [one]}
        done = self._calls.once(lambda: self._call(TkeClient2018, "ScaleOutClusterMaster", params, api.Done))
        return self._operation("add-masters", "", done, target=there + len(machines))

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:
        """Refuse: the call is a closed beta of TKE's."""
        del instances
        raise NotOfferedError("ending masters is not offered by this provider: TKE's call is in a closed beta")

    def poll(self, operation: Operation) -> Progress:
        """Read off the pool and its machines what has come of a change."""
        if operation.change == "add-masters":
            return self._poll_masters(operation)
        told = self._told(operation.pool)
        if operation.change == "delete":
            return Progress(state="running" if told else "done")
        pool = _pool(told) if told else None
        if pool is None:
            return Progress(state="failed", told=f"there is no pool {operation.pool}", cause="cloud")
        there = self.instances(pool)
        if operation.change == "remove-instances":
            left = [each.id for each in there if each.id in operation.instances]
            return Progress(state="running" if left else "done", told=f"machines that have not gone: {len(left)}")
        if pool.state == "changing":
            return Progress(state="running", told=f"pool {pool.name} is {pool.told}")
        return Progress(state="done") if operation.change == "set-autoscaling" else _sized(operation, pool, there)

    def _poll_masters(self, operation: Operation) -> Progress:
        there = self.masters()
        failed = [each.reason for each in there if each.state == "failed" and each.reason]
        running = sum(each.state == "running" for each in there)
        settled = not any(each.state == "starting" for each in there)
        if running >= (operation.target or 0):
            return Progress(state="done")
        if failed and settled:
            return Progress(state="failed", cause="cloud", troubles=tuple(failed))
        return Progress(state="running", told=f"{running} of {operation.target} masters run")

    def _must_be_independent(self) -> None:
        params = {"ClusterIds": [self._cluster]}
        told = self._calls.read(lambda: self._call(TkeClient2018, "DescribeClusters", params, api.Clusters, bare=True))
        kind = told.clusters[0].cluster_type if told.clusters else ""
        if kind != "INDEPENDENT_CLUSTER":
            raise NotOfferedError(
                f"masters of a {kind or 'managed'} are not offered by this provider: they are the cloud's own",
                hint="TKE's independent clusters have masters that are yours",
            )

    def _is_native(self, pool: Pool) -> bool:
        return pool.machine == NATIVE

    def _told(self, pool_id: str) -> api.NodePool | None:
        found = [pool for page in self._pool_pages(_by_id(pool_id)) for pool in page]
        return next((pool for pool in found if pool_id in {pool.node_pool_id, pool.name}), None)

    def _raw(self, pool_id: str) -> dict[str, Any]:
        told = self._calls.read(lambda: self._sent(TkeClient2022, "DescribeNodePools", self._of(_by_id(pool_id))))
        found: list[dict[str, Any]] = told["NodePools"]
        return next(pool for pool in found if pool["NodePoolId"] == pool_id)

    def _pool_pages(self, more: Mapping[str, Any]) -> Iterator[tuple[api.NodePool, ...]]:
        yield from self._pages(TkeClient2022, "DescribeNodePools", more, api.NodePools, lambda page: page.node_pools)

    def _machines(self, more: Mapping[str, Any]) -> Iterator[api.Instance]:
        def of(page: api.Instances) -> tuple[api.Instance, ...]:
            return page.instance_set

        for page in self._pages(TkeClient2018, "DescribeClusterInstances", more, api.Instances, of):
            yield from page

    def _pages(
        self,
        version: type[Any],
        action: str,
        more: Mapping[str, Any],
        kind: type[T],
        items: Callable[[T], tuple[Any, ...]],
    ) -> Iterator[tuple[Any, ...]]:
        """Yield page after page, until one is not full."""
        offset = 0
        while True:
            params = {**more, "Offset": offset, "Limit": PAGE}
            page = items(self._calls.read(partial(self._call, version, action, params, kind)))
            yield page
            offset += PAGE
            if len(page) < PAGE:
                return

    def _write(self, version: type[Any], action: str, params: Mapping[str, Any]) -> api.Done:
        return self._calls.absolute(lambda: self._call(version, action, params, api.Done))

    def _call(
        self, version: type[Any], action: str, params: Mapping[str, Any], kind: type[T], *, bare: bool = False
    ) -> T:
        return kind.model_validate(self._sent(version, action, dict(params) if bare else self._of(params)))

    def _of(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"ClusterId": self._cluster, **params}

    def _sent(self, version: type[Any], action: str, params: dict[str, Any]) -> dict[str, Any]:
        """Make one request; parameters go out as they are given, since the SDK's models would add to them."""
        answer = json.loads(self._client(version).call(action, params))
        told: dict[str, Any] = answer["Response"]
        return told

    def _client(self, version: type[Any]) -> Any:  # noqa: ANN401 - the SDK has no types
        if version.__module__ not in self._clients:
            where = urlsplit(self._doors.endpoint("tke") or "https://tke.tencentcloudapi.com")
            http = HttpProfile(protocol=where.scheme, endpoint=where.netloc, reqTimeout=60)
            profile = ClientProfile(httpProfile=http, language="en-US")
            # Its retries count a failure that is over as one that lasts, and its breaker sends to other places.
            profile.retryer = None
            profile.disable_region_breaker = True
            self._clients[version.__module__] = version(self._credential(), self._doors.cluster.region, profile)
        return self._clients[version.__module__]

    def _credential(self) -> Any:  # noqa: ANN401 - as above
        environment = self._doors.environment
        key, secret, token = (
            environment.get(f"TENCENTCLOUD_{name}", "") for name in ("SECRET_ID", "SECRET_KEY", "TOKEN")
        )
        # The SDK's own chain leaves the token of temporary credentials out.
        return Credential(key, secret, token) if key and secret and token else self._found()

    def _found(self) -> Any:  # noqa: ANN401 - as above
        found = DefaultCredentialProvider().get_credential()
        if found is None:
            raise CredentialsError("there are no credentials for Tencent Cloud", hint=f"they come from {api.CHAIN}")
        return found

    def _operation(
        self,
        change: Change,
        pool: str,
        done: api.Done,
        *,
        target: int | None = None,
        instances: Sequence[str] = (),
        more: dict[str, str] | None = None,
    ) -> Operation:
        return Operation(
            change=change,
            pool=pool,
            target=target,
            instances=tuple(instances),
            started=self._doors.clock.now(),
            request=done.request_id,
            more=more or {},
        )


def _by_id(pool_id: str) -> dict[str, Any]:
    return {"Filters": [{"Name": "NodePoolsId", "Values": [pool_id]}]}


def _pool(told: api.NodePool) -> Pool:
    native = told.type == NATIVE
    regular = told.regular
    counts = regular.node_count_summary
    state = _STATES.get(told.life_state.lower(), "changing")
    return Pool.model_validate(
        {
            "id": told.node_pool_id,
            "name": told.name or told.node_pool_id,
            "target": told.native.replicas if native else regular.desired_nodes_num,
            "actual": told.native.ready_replicas
            if native
            else counts.autoscaling_added.total + counts.manually_added.total,
            "min": told.native.scaling.min_replicas if native else regular.min_nodes_num,
            "max": told.native.scaling.max_replicas if native else regular.max_nodes_num,
            "autoscaled": told.native.enable_autoscaling
            if native
            else regular.autoscaling_group_status in {"enabled", "enabling"},
            "state": state,
            "told": told.life_state,
            "machine": told.type,
            "label": LABEL,
            "value": told.node_pool_id,
        }
    )


def _instance(told: api.Instance) -> Instance:
    state = _MACHINES.get(told.instance_state, "starting")
    reason = Trouble(what=told.instance_id, message=told.failed_reason) if told.failed_reason else None
    return Instance.model_validate(
        {
            "id": told.instance_id,
            # qcloud:///<number of the zone>/ins-…, and TKE does not tell that number.
            "provider_id": f"/{told.instance_id}" if told.instance_id.startswith("ins-") else "",
            "node": told.lan_i_p,
            "state": state,
            "reason": reason if state != "running" else None,
        }
    )


def _sized(operation: Operation, pool: Pool, there: Sequence[Instance]) -> Progress:
    """Judge a size by the machines: none is on its way, and as many run as are wanted, or failed to."""
    old = set(operation.more.get("failed", "").split())
    running = [each for each in there if each.state == "running"]
    failed = [each for each in there if each.state == "failed" and each.id not in old]
    told = f"{len(running)} of {pool.target} machines run"
    if any(each.state in {"starting", "leaving"} for each in there):
        return Progress(state="running", told=told)
    if len(running) == pool.target:
        return Progress(state="done", told=told)
    if failed and len(running) + len(failed) >= pool.target:
        troubles = tuple(each.reason or Trouble(what=each.id, message="failed") for each in failed)
        causes = {api.meaning(word) for trouble in troubles for word in trouble.message.replace(":", " ").split()}
        cause = "sold-out" if SoldOutError in causes else "quota" if QuotaError in causes else "cloud"
        return Progress.model_validate({"state": "partial", "told": told, "cause": cause, "troubles": troubles})
    return Progress(state="running", told=told)


DRIVER = Tke
