"""ACK on loopback: the ROA routes of version 2015-12-15, with tasks, as the vendor's SDK and its comments tell them.

What nobody outside Alibaba Cloud knows is decided in the strict way: an empty list is refused, unknown fields too.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from alibabacloud_cs20151215 import models

from tests.servers.ack_checks import RefusedError, Signatures, wrong
from tests.servers.base import Answer, CloudServer, FakePool, Fleet, Machine, Nodes

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tests.servers.base import Request

REGION, CLUSTER = "cn-hangzhou", "c82e6987e2961451182edacd74faf0001"
KEY, SECRET = "LTAI5tExample", "an-example-of-a-secret"
LABEL = "alibabacloud.com/nodepool-id"
MOST_MORE, MOST_INSTANCES, MOST_PAGE = 500, 2000, 100
SLOW_SECONDS = 0.6
NO_STOCK = "The requested resource is sold out in the specified zone; try other types of resources or other zones."

_POOLS = rf"/clusters/{CLUSTER}/nodepools"
_ROUTES = (
    ("GET", _POOLS, "DescribeClusterNodePools"),
    ("POST", _POOLS, "CreateClusterNodePool"),
    ("GET", rf"{_POOLS}/(?P<pool>[^/]+)", "DescribeClusterNodePoolDetail"),
    ("PUT", rf"{_POOLS}/(?P<pool>[^/]+)", "ModifyClusterNodePool"),
    ("POST", rf"{_POOLS}/(?P<pool>[^/]+)", "ScaleClusterNodePool"),
    ("DELETE", rf"{_POOLS}/(?P<pool>[^/]+)", "DeleteClusterNodepool"),
    ("DELETE", rf"{_POOLS}/(?P<pool>[^/]+)/nodes", "RemoveNodePoolNodes"),
    ("GET", rf"/clusters/{CLUSTER}/nodes", "DescribeClusterNodes"),
    ("GET", r"/tasks/(?P<task>[^/]+)", "DescribeTaskInfo"),
)
_FAULTS = {
    # As Alibaba Cloud's gateway does: a throttle is not always a 429, and a conflict not a 409.
    "throttle": (400, "Throttling.User", "Request was denied due to user flow control."),
    "conflict": (400, "InvalidStatus.Forbidden", "cannot operate cluster where state is scaling"),
    "quota": (400, "QuotaExceeded.Node", "The number of nodes of the cluster exceeds the quota."),
    "broken": (503, "ServiceUnavailable", "The service is temporarily unavailable."),
}
_QUERIES = {
    "DescribeClusterNodePools": {"NodepoolName"},
    "DescribeClusterNodes": {"nodepool_id", "pageNumber", "pageSize", "state", "instanceIds", "nodeNames"},
    "DeleteClusterNodepool": {"force"},
    "RemoveNodePoolNodes": {"instance_ids", "drain_node", "release_node", "concurrency"},
}
_WORDS = {"starting": "initial", "leaving": "removing"}


@dataclass
class Task:
    """One change; it runs as long as one of its machines is on the way."""

    id: str
    pool: str
    kind: str
    machines: list[Machine] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def settings() -> dict[str, Any]:
    """Return what a standard pool is told to be, with all the empty things that ACK tells too."""
    return {
        "auto_scaling": {
            "type": "cpu",
            "is_bond_eip": False,
            "eip_internet_charge_type": "PayByBandwidth",
            "eip_bandwidth": 0,
        },
        "interconnect_config": {},
        "interconnect_mode": "basic",
        "kubernetes_config": {
            "cms_enabled": True,
            "cpu_policy": "none",
            "labels": [{"key": "tier", "value": "web"}],
            "taints": [{"key": "only", "value": "web", "effect": "NoSchedule"}],
            "runtime": "containerd",
            "runtime_version": "1.6.28",
            "user_data": "",
            "unschedulable": False,
        },
        "management": {"enable": False, "auto_repair_policy": {"auto_repair_policy_id": "r-1", "restart_node": False}},
        "max_nodes": 0,
        "node_components": [],
        "scaling_group": {
            "auto_renew_period": 0,
            "data_disks": [{"category": "cloud_essd", "size": 120, "encrypted": "false"}],
            "deploymentset_id": "",
            "image_type": "AliyunLinux3",
            "instance_charge_type": "PostPaid",
            "instance_patterns": [],
            "instance_types": ["ecs.g7.xlarge"],
            "internet_max_bandwidth_out": 0,
            "key_pair": "operators",
            "login_password": "",
            "multi_az_policy": "BALANCE",
            "on_demand_percentage_above_base_capacity": 0,
            "period": 0,
            "ram_policy": "KubernetesWorkerRole",
            "rds_instances": [],
            "scaling_group_id": "asg-1",
            "security_group_id": "sg-1",
            "security_group_ids": ["sg-1", "sg-2"],
            "spot_price_limit": [],
            "system_disk_category": "cloud_essd",
            "system_disk_size": 120,
            "tags": [{"key": "team", "value": "shop"}, {"key": "acs:autoscaling:scalingGroupId", "value": "asg-1"}],
            "vswitch_ids": ["vsw-1", "vsw-2"],
        },
        "tee_config": {"tee_enable": False},
    }


class AckServer(CloudServer):
    """One cluster of ACK; ``token`` is that of a temporary key, ``masters`` are those of a dedicated cluster."""

    kind: ClassVar[str] = "ack"
    sizes: ClassVar[tuple[str, ...]] = ("ModifyClusterNodePool", "ScaleClusterNodePool")
    removals: ClassVar[tuple[str, ...]] = ("RemoveNodePoolNodes",)

    def __init__(self, nodes: Nodes, *, tls: ssl.SSLContext | None = None) -> None:
        self.signatures = Signatures(KEY, SECRET)
        self.tasks: dict[str, Task] = {}
        self.masters: list[str] = []
        self.seen: dict[str, str] = {}
        """When each machine was made, by its ID, as it was first told."""
        self.page_is_broken = False
        """Let a gateway answer in place of ACK, with a page."""
        super().__init__(tls=tls)
        self.fleet = Fleet(nodes, self.faults, lambda machine: f"{REGION}.{machine.id}")

    def variables(self) -> dict[str, object]:
        """Return what the inventory says of the cluster."""
        return {"kind": self.kind, "region": REGION, "cluster_id": CLUSTER}

    def environment(self, home: Path) -> dict[str, str]:
        """Return how the command line finds this server, and who it is there."""
        del home
        return {
            "SCALER_ENDPOINT_ACK": self.url,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        }

    def stranger(self) -> dict[str, str]:
        """Return the secret of somebody whom the cloud does not know."""
        return {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another"}

    def add_pool(self, name: str, size: int, **more: Any) -> FakePool:
        """Let there be a pool with ``size`` machines that run."""
        return self.fleet.put(self._pool(name, size, settings(), **more))

    def size_asked(self, request: Request) -> int:
        """Return the absolute size that a request asked for."""
        return int(request.json["scaling_group"]["desired_size"])

    def removed(self, request: Request) -> list[str]:
        """Return the machines that a request ends."""
        return list(json.loads(request.query["instance_ids"][0]))

    def forget(self) -> None:
        """Begin a new record, with nothing going wrong or going on."""
        super().forget()
        self.tasks.clear()
        self.masters.clear()
        self.page_is_broken = False

    def action(self, request: Request) -> str:
        return self._route(request)[0]

    def fault(self, fault: str, request: Request) -> Answer:
        del request
        return self._error(*_FAULTS[fault])

    def answer(self, request: Request) -> Answer:
        if self.page_is_broken:
            return Answer(502, b"<html>502 Bad Gateway</html>", {"Content-Type": "text/html"})
        slow = self.faults.take("slow", [self.action(request)])
        if slow:
            time.sleep(SLOW_SECONDS)
        self.fleet.settle()
        try:
            # Nobody listens any more to an answer that was slow.
            return Answer(200, self._done(request), cut=slow)
        except RefusedError as e:
            return self._error(e.status, e.code, e.message)

    def _done(self, request: Request) -> Any:
        action, names = self._route(request)
        self.signatures.check(request, action)
        if set(request.query) - _QUERIES.get(action, set()):
            raise RefusedError(400, "InvalidParameter", f"unknown parameters: {sorted(request.query)}")
        if not hasattr(self, f"_{action}"):
            raise RefusedError(404, "InvalidApi.NotFound", f"{request.method} {request.path}")
        return getattr(self, f"_{action}")(request, **names)

    def _DescribeClusterNodePools(self, request: Request) -> Any:  # noqa: N802 - the API's own name
        named = request.query.get("NodepoolName", [""])[0]
        return {"nodepools": [self._told(each) for each in self.fleet.pools.values() if named in {"", each.name}]}

    def _DescribeClusterNodePoolDetail(self, request: Request, pool: str) -> Any:  # noqa: N802 - as above
        del request
        return self._told(self._found(pool))

    def _DescribeClusterNodes(self, request: Request) -> Any:  # noqa: N802 - as above
        asked = {name: values[0] for name, values in request.query.items()}
        number, size = int(asked.get("pageNumber", 1)), int(asked.get("pageSize", 10))
        if not 1 <= size <= MOST_PAGE or number < 1:
            raise RefusedError(400, "InvalidParameter.PageSize", f"pageSize {size}, pageNumber {number}")
        ids = [asked["nodepool_id"]] if "nodepool_id" in asked else list(self.fleet.pools)
        pools = [self.fleet.pools[each] for each in ids if each in self.fleet.pools]
        nodes = [self._node(pool, each) for pool in pools for each in pool.machines]
        if "nodepool_id" not in asked:
            nodes += [self._master(each) for each in self.masters]
        if (state := asked.get("state", "all")) != "all":
            nodes = [node for node in nodes if node["state"] == state]
        shown = nodes[(number - 1) * size : number * size]
        return {"nodes": shown, "page": {"page_number": number, "page_size": size, "total_count": len(nodes)}}

    def _DescribeTaskInfo(self, request: Request, task: str) -> Any:  # noqa: N802 - as above
        del request
        if task not in self.tasks:
            raise RefusedError(404, "ErrorTaskNotFound", f"task {task} not found")
        found = self.tasks[task]
        failed = [each for each in found.machines if each.state == "failed"]
        running = any(each.state in {"starting", "leaving"} for each in found.machines if self._is_there(each))
        results = [{"data": each.id, "status": self._result(each)} for each in found.machines]
        results += [{"data": each, "status": "failed"} for each in found.refused]
        told: dict[str, Any] = {
            "cluster_id": CLUSTER,
            "created": "2026-03-01T02:00:00+08:00",
            "current_stage": "join_nodes",
            "state": "running" if running else "fail" if failed else "success",
            "target": {"id": found.pool, "type": "nodepool"},
            "task_id": found.id,
            "task_result": results,
            "task_type": found.kind,
            "events": [],
        }
        if failed and not running:
            told["error"] = {"code": "OperationDenied.NoStock", "message": NO_STOCK}
        if found.refused:
            told["events"] = [
                {"level": "ERROR", "reason": "RemoveNodeFailed", "message": f"{each}: deletion protection is on"}
                for each in found.refused
            ]
        return told

    def _ModifyClusterNodePool(self, request: Request, pool: str) -> Any:  # noqa: N802 - as above
        body = self._body(request, models.ModifyClusterNodePoolRequest)
        found = self._free(pool)
        asked = models.ModifyClusterNodePoolRequest().from_map(body)
        size = found.target
        if asked.auto_scaling is not None:
            size = self._bounded(found, body["auto_scaling"])
        if asked.scaling_group is not None:
            if asked.scaling_group.desired_size is not None:
                size = self._size(found, asked.scaling_group.desired_size)
            found.more["scaling_group"] |= {k: v for k, v in body["scaling_group"].items() if k != "desired_size"}
        return {"nodepool_id": pool, **self._sized(found, size)}

    def _ScaleClusterNodePool(self, request: Request, pool: str) -> Any:  # noqa: N802 - as above
        body = self._body(request, models.ScaleClusterNodePoolRequest)
        if body.get("count", 0) < 1:
            raise RefusedError(400, "InvalidParameter", "count is 1 or more")
        found = self._free(pool)
        return self._sized(found, self._size(found, len(found.alive) + int(body["count"])))

    def _CreateClusterNodePool(self, request: Request) -> Any:  # noqa: N802 - as above
        body = self._body(request, models.CreateClusterNodePoolRequest)
        group = body.get("scaling_group") or {}
        if not body.get("nodepool_info", {}).get("name"):
            raise RefusedError(400, "InvalidParameter", "nodepool_info.name is missing")
        missing = {"vswitch_ids", "instance_types", "desired_size"} - set(group)
        if missing or not (group.get("key_pair") or group.get("login_password")):
            raise RefusedError(400, "InvalidParameter", f"scaling_group: {sorted(missing)}, key_pair or login_password")
        if not 1 <= group.get("internet_max_bandwidth_out", 1) <= 100:
            raise RefusedError(400, "InvalidParameter", "internet_max_bandwidth_out is 1 to 100")
        if any(tag["key"].startswith(("aliyun", "acs:")) for tag in group.get("tags", [])):
            raise RefusedError(400, "InvalidParameter", "tags: a key that is reserved")
        made = self._pool(body["nodepool_info"]["name"], 0, body)
        size = self._size(made, group.pop("desired_size"))
        self.fleet.pools[made.id] = made
        if body.get("auto_scaling"):
            self._bounded(made, body["auto_scaling"])
        return {"nodepool_id": made.id, **self._sized(made, size)}

    def _DeleteClusterNodepool(self, request: Request, pool: str) -> Any:  # noqa: N802 - as above
        found = self._found(pool)
        force = self._flag(request, "force")
        if found.machines and not force:
            raise RefusedError(400, "NodepoolNotEmpty", "the node pool has nodes")
        self.fleet.delete(found)
        return self._begun(Task(self._id("T"), pool, "nodepool_delete", list(found.machines)))

    def _RemoveNodePoolNodes(self, request: Request, pool: str) -> Any:  # noqa: N802 - as above
        found = self._free(pool)
        try:
            names = json.loads(request.query["instance_ids"][0])
        except (KeyError, ValueError):
            raise RefusedError(400, "InvalidParameter", "instance_ids is no JSON list") from None
        there = {each.id: each for each in found.machines}
        if not names or set(names) - set(there):
            raise RefusedError(400, "ErrorNodeNotFound", f"not of the pool: {sorted(set(names) - set(there))}")
        if self._flag(request, "drain_node") or not self._flag(request, "release_node"):
            raise RefusedError(400, "InvalidParameter", "scaler drains, and wants machines to end")
        going = [there[name] for name in names if name not in self.faults.refuse]
        found.target -= sum(each.state in {"starting", "running"} for each in going)
        for machine in going:
            self.fleet.leave(machine)
        refused = [name for name in names if name in self.faults.refuse]
        return self._begun(Task(self._id("T"), pool, "nodepool_remove_nodes", going, refused))

    def _bounded(self, pool: FakePool, asked: dict[str, Any]) -> int:
        """Set the autoscaler and return the size that the pool then comes to by itself, as ACK's does."""
        low, high = asked.get("min_instances", 0), asked.get("max_instances", 0)
        if not 0 <= low <= high <= MOST_INSTANCES:
            raise RefusedError(400, "InvalidParameter", f"min_instances {low}, max_instances {high}")
        # What is not said is set to its default: a request that says too little must show in a test.
        pool.more["auto_scaling"] = {"type": "cpu"} | asked
        pool.autoscaled = bool(asked.get("enable"))
        if pool.autoscaled:
            pool.min, pool.max = low, high
        return min(max(pool.target, low), high) if pool.autoscaled else pool.target

    def _sized(self, pool: FakePool, size: int) -> dict[str, Any]:
        before = {each.id for each in pool.machines if each.state != "leaving"}
        self.fleet.want(pool, size, sold_out=NO_STOCK)
        moved = [each for each in pool.machines if each.id not in before or each.state == "leaving"]
        return self._begun(Task(self._id("T"), pool.id, "cluster_scaleout", moved))

    def _begun(self, task: Task) -> dict[str, Any]:
        self.tasks[task.id] = task
        return {"task_id": task.id, "request_id": self._id()}

    def _size(self, pool: FakePool, size: int) -> int:
        if size < 0:
            raise RefusedError(400, "InvalidParameter.DesiredSize", f"desired_size {size}")
        if size - len(pool.alive) > MOST_MORE:
            raise RefusedError(400, "InvalidParameter.Count", f"at most {MOST_MORE} nodes at a time")
        return size

    def _body(self, request: Request, model: type) -> dict[str, Any]:
        said = list(wrong(model, request.json))
        if said:
            raise RefusedError(400, "InvalidParameter", "; ".join(said))
        return dict(request.json)

    def _flag(self, request: Request, name: str) -> bool:
        word = request.query.get(name, ["false"])[0]
        if word not in {"true", "false"}:
            raise RefusedError(400, "InvalidParameter", f"{name} is {word}, not true or false")
        return word == "true"

    def _found(self, pool: str) -> FakePool:
        if pool not in self.fleet.pools:
            raise RefusedError(404, "ErrorNodePoolNotFound", f"node pool {pool} not found")
        return self.fleet.pools[pool]

    def _free(self, pool: str) -> FakePool:
        found = self._found(pool)
        if found.busy or found.state == "deleting":
            word = self._state(found)
            raise RefusedError(400, "InvalidStatus.Forbidden", f"cannot operate nodepool where state is {word}")
        return found

    def _pool(self, name: str, size: int, said: dict[str, Any], **more: Any) -> FakePool:
        pool_id = f"np{uuid4().hex}"
        return FakePool(pool_id, name, LABEL, pool_id, size, more=said, **more)

    def _told(self, pool: FakePool) -> dict[str, Any]:
        count = {word: sum(each.state == word for each in pool.machines) for word in (*_WORDS, "running", "failed")}
        size = {} if pool.more.get("sized_by_hand") else {"desired_size": pool.target}
        said = {name: value for name, value in pool.more.items() if name != "sized_by_hand"}
        bounds = {"enable": pool.autoscaled, "min_instances": pool.min, "max_instances": pool.max}
        return {
            **said,
            "auto_scaling": {**pool.more.get("auto_scaling", {}), **bounds},
            "nodepool_info": {
                "type": "ess",
                "is_default": False,
                "region_id": REGION,
                "resource_group_id": "rg-1",
                "created": "2026-03-01T02:00:00+08:00",
                "updated": "2026-03-01T02:00:00+08:00",
                **pool.more.get("nodepool_info", {}),
                "name": pool.name,
                "nodepool_id": pool.id,
            },
            "scaling_group": {**pool.more["scaling_group"], **size},
            "status": {
                "state": self._state(pool),
                "total_nodes": len(pool.machines),
                "serving_nodes": count["running"],
                "healthy_nodes": count["running"],
                "initial_nodes": count["starting"],
                "removing_nodes": count["leaving"],
                "failed_nodes": count["failed"],
                "offline_nodes": 0,
                "conditions": [],
            },
        }

    def _state(self, pool: FakePool) -> str:
        if pool.state != "ready":
            return pool.state
        states = {each.state for each in pool.machines}
        return "scaling" if "starting" in states else "removing" if "leaving" in states else "active"

    def _node(self, pool: FakePool, machine: Machine) -> dict[str, Any]:
        runs = machine.state in {"running", "leaving"}
        return {
            "instance_id": machine.id,
            "node_name": machine.node if runs else "",
            "nodepool_id": pool.id,
            "instance_role": "Worker",
            "instance_status": "Running" if runs else "Pending",
            "node_status": "Ready" if runs else "Unknown",
            "state": _WORDS.get(machine.state, machine.state),
            "error_message": machine.reason if machine.state == "failed" else "",
            "creation_time": self.seen.setdefault(machine.id, datetime.now(UTC).isoformat()),
            "is_aliyun_node": True,
            "source": "ess_attach",
        }

    def _master(self, name: str) -> dict[str, Any]:
        return {"instance_id": f"i-{name}", "node_name": name, "instance_role": "Master", "state": "running"}

    def _result(self, machine: Machine) -> str:
        return {"failed": "failed", "starting": "initial"}.get(machine.state, "success")

    def _is_there(self, machine: Machine) -> bool:
        return self.fleet.machine(machine.id) is not None

    def _route(self, request: Request) -> tuple[str, dict[str, str]]:
        for method, path, action in _ROUTES:
            found = re.fullmatch(path, request.path) if method == request.method else None
            if found:
                return action, found.groupdict()
        return "Unknown", {}

    def _error(self, status: int, code: str, message: str) -> Answer:
        return Answer(status, {"code": code, "message": message, "requestId": self._id(), "status": status})

    def _id(self, prefix: str = "") -> str:
        return f"{prefix}-{uuid4().hex}" if prefix else str(uuid4()).upper()


SERVER = AckServer
