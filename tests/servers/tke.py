"""TKE on loopback: checks the TC3 signature of each request, and its parameters against the vendor's api.json."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import time
from typing import TYPE_CHECKING, Any, ClassVar

from tests.servers import specs
from tests.servers.base import Answer, CloudServer, FakePool, Fleet, Machine, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.base import Nodes

LABEL = "tke.cloud.tencent.com/nodepool-id"
SOLD_OUT = "ResourceInsufficient.SpecifiedInstanceType: S5.LARGE8 is sold out in zone 3"
# What a native pool is told to be.
NATIVE = {
    "SubnetIds": ["subnet-1"],
    "InstanceChargeType": "POSTPAID_BY_HOUR",
    "SystemDisk": {"DiskType": "CLOUD_PREMIUM", "DiskSize": 50},
    "InstanceTypes": ["S5.LARGE8"],
    "KeyIds": None,
}
_KEY_ID, _SECRET = "AKIDtest", "secret-of-the-tests"
_STATES = {"running": "running", "starting": "initializing", "leaving": "running", "failed": "failed"}
_TYPES = {"string": str, "bool": bool, "float": float}


class TkeServer(CloudServer):
    """The API of one region, with one cluster."""

    kind: ClassVar[str] = "tke"
    sizes: ClassVar[tuple[str, ...]] = ("ModifyNodePoolDesiredCapacityAboutAsg", "ScaleNodePool")
    removals: ClassVar[tuple[str, ...]] = ("DeleteClusterInstances", "DeleteClusterMachines")
    cluster_id = "cls-test1234"

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self.fleet = Fleet(nodes, self.faults, self._provider_id, prefix="ins-")
        self.cluster_type = "MANAGED_CLUSTER"
        self.lowers = True
        """Whether a removal lowers the size, as nobody outside knows for sure."""
        self.masters: list[Machine] = []
        self._numbers = itertools.count(1)
        self._specs = {
            version: specs.read(specs.TCCLI, f"tccli/services/tke/v{version.replace('-', '')}/api.json")
            for version in ("2018-05-25", "2022-05-01")
        }

    def variables(self) -> dict[str, object]:
        """Return what the inventory says of the cluster."""
        return {"kind": "tke", "region": "ap-guangzhou", "cluster_id": self.cluster_id}

    def environment(self, home: Path) -> dict[str, str]:
        """Return how the command line finds this server, and who it is there."""
        del home
        return {
            "TENCENTCLOUD_SECRET_ID": _KEY_ID,
            "TENCENTCLOUD_SECRET_KEY": _SECRET,
            "SCALER_ENDPOINT_TKE": self.url,
        }

    def stranger(self) -> dict[str, str]:
        """Return the credentials of somebody whom the cloud does not know."""
        return {"TENCENTCLOUD_SECRET_KEY": "wrong"}

    def add_pool(self, name: str, size: int, **more: Any) -> FakePool:
        """Let there be a pool with ``size`` machines."""
        number = next(self._numbers)
        pool = FakePool(
            id=f"np-{number:08x}",
            name=name,
            label=LABEL,
            value=f"np-{number:08x}",
            target=size,
            more={"type": "Regular"},
        )
        for field, value in more.items():
            setattr(pool, field, value)
        return self.fleet.put(pool)

    def size_asked(self, request: Request) -> int:
        """Return the absolute size that a request asked for."""
        return int(request.json.get("DesiredCapacity", request.json.get("Replicas")))

    def removed(self, request: Request) -> list[str]:
        """Return the machines that a request ends."""
        return list(request.json.get("InstanceIds") or request.json["MachineNames"])

    def forget(self) -> None:
        """Begin a new record, of a managed cluster's."""
        super().forget()
        self.masters.clear()
        self.cluster_type = "MANAGED_CLUSTER"

    def action(self, request: Request) -> str:
        return request.headers.get("x-tc-action", "")

    def writes(self, request: Request) -> bool:
        return not request.action.startswith("Describe")

    def fault(self, fault: str, request: Request) -> Answer:
        if fault == "broken":
            return Answer(502, b"Bad Gateway", {"Content-Type": "text/html"})
        codes = {
            "throttle": ("RequestLimitExceeded", "Your current request times equals to `21` in a second"),
            "conflict": ("ResourceUnavailable.NodePoolStateNotNormal", "the node pool is being updated"),
            "quota": ("LimitExceeded.QuotaMaxNodLimit", "the cluster may have 10 nodes"),
        }
        del request
        return self._refused(*codes[fault])

    def answer(self, request: Request) -> Answer:
        wrong = self._wrong_signature(request) or self._wrong_parameters(request)
        if wrong:
            return self._refused(*wrong)
        self.fleet.settle()
        act: Callable[[dict[str, Any]], dict[str, Any] | Answer] = getattr(self, f"_{request.action}")
        told = act(request.json)
        return told if isinstance(told, Answer) else self._told(told)

    def _told(self, told: dict[str, Any]) -> Answer:
        return Answer(body={"Response": {**told, "RequestId": f"request-{next(self._numbers):06d}"}})

    def _refused(self, code: str, message: str) -> Answer:
        return self._told({"Error": {"Code": code, "Message": message}})

    def _provider_id(self, machine: Machine) -> str:
        return f"qcloud:///100003/{machine.id}"

    def _wrong_signature(self, request: Request) -> tuple[str, str] | None:
        told = request.headers.get("authorization", "")
        stamp = int(request.headers.get("x-tc-timestamp", "0"))
        if abs(time.time() - stamp) > 300:
            return "AuthFailure.SignatureExpire", "the signature has expired"
        day = time.strftime("%Y-%m-%d", time.gmtime(stamp))
        signed = f"content-type:{request.headers['content-type']}\nhost:{request.headers['host']}\n"
        digest = hashlib.sha256(request.body).hexdigest()
        canonical = f"POST\n/\n\n{signed}\ncontent-type;host\n{digest}"
        scope = f"{day}/tke/tc3_request"
        text = f"TC3-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = b"TC3" + _SECRET.encode()
        for part in (day, "tke", "tc3_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        wanted = f"TC3-HMAC-SHA256 Credential={_KEY_ID}/{scope}, SignedHeaders=content-type;host, Signature={signature}"
        return None if told == wanted else ("AuthFailure.SignatureFailure", "the signature is not right")

    def _wrong_parameters(self, request: Request) -> tuple[str, str] | None:
        spec = self._specs.get(request.headers.get("x-tc-version", ""))
        if spec is None or request.action not in spec["actions"]:
            return "InvalidAction", f"{request.action} is no action of this version"
        if request.headers.get("x-tc-language") != "en-US":
            return "InvalidParameter", "the tests read English"
        wrong = list(_wrong(spec["objects"], spec["actions"][request.action]["input"], request.json, ""))
        return ("InvalidParameter", "; ".join(wrong)) if wrong else None

    def _DescribeClusters(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the API's own names, here and below
        assert told["ClusterIds"] == [self.cluster_id]
        cluster = {"ClusterId": self.cluster_id, "ClusterType": self.cluster_type, "ClusterStatus": "Running"}
        return {"TotalCount": 1, "Clusters": [cluster]}

    def _DescribeNodePools(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        pools = list(self.fleet.pools.values())
        for each in told.get("Filters", []):
            assert each["Name"] == "NodePoolsId"
            pools = [pool for pool in pools if pool.id in each["Values"]]
        page = _page(pools, told)
        return {"TotalCount": len(pools), "NodePools": [self._pool(pool) for pool in page]}

    def _pool(self, pool: FakePool) -> dict[str, Any]:
        state = "deleting" if pool.state == "deleting" else "updating" if pool.busy else "normal"
        common: dict[str, Any] = {
            "ClusterId": self.cluster_id,
            "NodePoolId": pool.id,
            "Name": pool.name,
            "LifeState": state,
            "Type": pool.more["type"],
            "Tags": None,
        }
        if pool.more["type"] == "Native":
            native = {
                **pool.more["native"],
                "Replicas": pool.target,
                "ReadyReplicas": len([m for m in pool.machines if m.state == "running"]),
                "EnableAutoscaling": pool.autoscaled,
                "Scaling": {"MinReplicas": pool.min, "MaxReplicas": pool.max, "CreatePolicy": "ZoneEquality"},
            }
            return {**common, "Native": native}
        total = {"Total": len(pool.machines), "Joining": 0, "Initializing": 0, "Normal": len(pool.alive)}
        regular = {
            "AutoscalingGroupId": "asg-1",
            "LaunchConfigurationId": "asc-1",
            "NodeCountSummary": {"AutoscalingAdded": total, "ManuallyAdded": None},
            "AutoscalingGroupStatus": "enabled" if pool.autoscaled else "disabled",
            "MaxNodesNum": pool.max,
            "MinNodesNum": pool.min,
            "DesiredNodesNum": pool.target,
        }
        return {**common, "Regular": regular, "Native": None}

    def _DescribeClusterInstances(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if told.get("InstanceRole") == "MASTER_ETCD":
            found: list[tuple[FakePool | None, Machine]] = [(None, machine) for machine in self.masters]
        else:
            wanted = {value for each in told["Filters"] for value in each["Values"]}
            found = [(p, m) for p in self.fleet.pools.values() if p.id in wanted for m in p.machines]
        page = [self._machine(pool, machine) for pool, machine in _page(found, told)]
        return {"TotalCount": len(found), "InstanceSet": page}

    def _machine(self, pool: FakePool | None, machine: Machine) -> dict[str, Any]:
        return {
            "InstanceId": machine.id,
            "InstanceRole": "WORKER" if pool else "MASTER_ETCD",
            "InstanceState": _STATES[machine.state],
            "FailedReason": machine.reason if machine.state == "failed" else None,
            "LanIP": "10.0.0.1",
            "NodePoolId": pool.id if pool else None,
        }

    def _ModifyNodePoolDesiredCapacityAboutAsg(self, told: dict[str, Any]) -> dict[str, Any] | Answer:  # noqa: N802
        return self._resized(told["NodePoolId"], told["DesiredCapacity"])

    def _ScaleNodePool(self, told: dict[str, Any]) -> dict[str, Any] | Answer:  # noqa: N802
        return self._resized(told["NodePoolId"], told["Replicas"])

    def _resized(self, pool_id: str, size: int) -> dict[str, Any] | Answer:
        pool = self.fleet.pools[pool_id]
        if pool.busy:
            return self._refused("ResourceUnavailable.NodePoolStateNotNormal", "the node pool is being updated")
        if not pool.min <= size <= pool.max:
            return self._refused("InvalidParameter.AsCommonError", f"{size} is not in [{pool.min},{pool.max}]")
        self.fleet.want(pool, size, sold_out=SOLD_OUT)
        return {}

    def _ModifyClusterNodePool(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        pool = self.fleet.pools[told["NodePoolId"]]
        pool.min, pool.max, pool.autoscaled = told["MinNodesNum"], told["MaxNodesNum"], told["EnableAutoscale"]
        return {}

    def _ModifyNodePool(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        pool, native = self.fleet.pools[told["NodePoolId"]], told["Native"]
        pool.min, pool.max = native["Scaling"]["MinReplicas"], native["Scaling"]["MaxReplicas"]
        pool.autoscaled = native["EnableAutoscaling"]
        return {}

    def _CreateNodePool(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        native = dict(told["Native"])
        size, scaling = native.pop("Replicas"), native["Scaling"]
        pool = self.add_pool(
            told["Name"],
            0,
            min=scaling["MinReplicas"],
            max=scaling["MaxReplicas"],
            autoscaled=bool(native.get("EnableAutoscaling")),
            more={"type": "Native", "native": native},
        )
        self.fleet.want(pool, size)
        return {"NodePoolId": pool.id}

    def _DeleteNodePool(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._deleted(told["NodePoolId"])

    def _DeleteClusterNodePool(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert told["KeepInstance"] is False
        (pool_id,) = told["NodePoolIds"]
        return self._deleted(pool_id)

    def _deleted(self, pool_id: str) -> dict[str, Any]:
        self.fleet.delete(self.fleet.pools[pool_id])
        return {}

    def _DeleteClusterInstances(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert told["InstanceDeleteMode"] == "terminate"
        lists: dict[str, list[str]] = {"Succ": [], "Failed": [], "NotFound": []}
        for name in told["InstanceIds"]:
            found = self.fleet.machine(name)
            which = "NotFound" if found is None else "Failed" if name in self.faults.refuse else "Succ"
            lists[which].append(name)
            if found and which == "Succ":
                self.fleet.leave(found[1])
                found[0].target -= self.lowers
        return {f"{name}InstanceIds": names for name, names in lists.items()}

    def _DeleteClusterMachines(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert told["EnableScaleDown"] is True
        for name in told["MachineNames"]:
            found = self.fleet.machine(name)
            if found:
                self.fleet.leave(found[1])
                found[0].target -= 1
        return {}

    def _ScaleOutClusterMaster(self, told: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for each in told["ExistedInstancesForNode"]:
            assert each["NodeRole"] == "MASTER_ETCD"
            for name in each["ExistedInstancesPara"]["InstanceIds"]:
                self.add_master(name)
        return {}

    def add_master(self, name: str) -> None:
        """Let a machine be a master, at once."""
        machine = Machine(name, f"node-{name}", "a", state="running")
        self.masters.append(machine)
        self.fleet.nodes.add(machine.node, self._provider_id(machine), {"node-role.kubernetes.io/master": ""})


def _page(found: list[Any], told: dict[str, Any]) -> list[Any]:
    assert told.get("Limit", 20) <= 100
    return found[told.get("Offset", 0) :][: told.get("Limit", 20)]


def _wrong(objects: dict[str, Any], name: str, value: dict[str, Any], where: str) -> Iterator[str]:
    """Tell what of ``value`` the specification does not know, misses, or wants to be of another type."""
    members = {member["name"]: member for member in objects[name]["members"]}
    yield from (f"{where}{key} is unknown" for key in value.keys() - members.keys())
    for key, member in members.items():
        if key not in value:
            if member.get("required"):
                yield f"{where}{key} is missing"
            continue
        many = member["type"] == "list"
        items = value[key] if many else [value[key]]
        if not isinstance(items, list):
            yield f"{where}{key} is no list"
            continue
        for item in items:
            if member["member"] in objects:
                yield from _wrong(objects, member["member"], item, f"{where}{key}.")
            elif not isinstance(item, _TYPES.get(member["member"], int)):
                yield f"{where}{key} is no {member['member']}"


SERVER = TkeServer
