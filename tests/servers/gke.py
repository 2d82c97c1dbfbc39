"""GKE on loopback: the cluster manager's own messages over gRPC and TLS, its REST twin, and Compute Engine's groups.

As the service: sizes count by zone, one operation at a time in a cluster, an operation that is DONE with an error, a
pool that tells no size. One HTTPS port answers for REST and for Compute Engine, another one speaks gRPC.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from google.cloud import container_v1 as container
from google.protobuf import json_format

from tests.servers import gke_compute as compute
from tests.servers.base import Answer, CloudServer, FakePool, Request
from tests.servers.gke_compute import CLUSTER, PROJECT, Compute, GroupFleet
from tests.servers.gke_wire import GrpcDoor, RefusedError, ServiceAccount
from tests.servers.tls import server_tls, trusted

if TYPE_CHECKING:
    from tests.servers.base import Machine, Nodes

REGION = "europe-west3"
ZONES = ("europe-west3-a", "europe-west3-b", "europe-west3-c")
LABEL = "cloud.google.com/gke-nodepool"
LIST, GET, CREATE, DELETE, SIZE, AUTOSCALING, OPERATION = (
    *("ListNodePools", "GetNodePool", "CreateNodePool", "DeleteNodePool", "SetNodePoolSize"),
    *("SetNodePoolAutoscaling", "GetOperation"),
)
REMOVE, MACHINES = f"compute.{compute.DELETE}", f"compute.{compute.LIST}"
MESSAGES: dict[str, tuple[Any, Any]] = {
    LIST: (container.ListNodePoolsRequest, container.ListNodePoolsResponse),
    GET: (container.GetNodePoolRequest, container.NodePool),
    CREATE: (container.CreateNodePoolRequest, container.Operation),
    DELETE: (container.DeleteNodePoolRequest, container.Operation),
    SIZE: (container.SetNodePoolSizeRequest, container.Operation),
    AUTOSCALING: (container.SetNodePoolAutoscalingRequest, container.Operation),
    OPERATION: (container.GetOperationRequest, container.Operation),
}
WRITES = {CREATE, DELETE, SIZE, AUTOSCALING, REMOVE}
TYPES = {
    CREATE: "CREATE_NODE_POOL",
    DELETE: "DELETE_NODE_POOL",
    SIZE: "SET_NODE_POOL_SIZE",
    AUTOSCALING: "UPDATE_CLUSTER",
}
PLACE = f"projects/{PROJECT}/locations/{REGION}"
PARENT = f"{PLACE}/clusters/{CLUSTER}"
_CLUSTER = r"/v1/(?P<{}>projects/[^/]+/locations/[^/]+/clusters/[^/]+"
_POOLS, _POOL = _CLUSTER.format("parent") + ")/nodePools", _CLUSTER.format("name") + r"/nodePools/[^/:]+)"
# The discovery document of container v1, as far as it is used.
_ROUTES = (
    ("GET", re.compile(_POOLS), LIST),
    ("POST", re.compile(_POOLS), CREATE),
    ("GET", re.compile(_POOL), GET),
    ("DELETE", re.compile(_POOL), DELETE),
    ("POST", re.compile(_POOL + ":setSize"), SIZE),
    ("POST", re.compile(_POOL + ":setAutoscaling"), AUTOSCALING),
    ("GET", re.compile(r"/v1/(?P<name>projects/[^/]+/locations/[^/]+/operations/[^/]+)"), OPERATION),
)
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_STATES = {"changing": "RECONCILING", "deleting": "STOPPING", "failed": "ERROR", "degraded": "RUNNING_WITH_ERROR"}
_READ_ONLY = {
    *("selfLink", "status", "statusMessage", "conditions", "instanceGroupUrls", "podIpv4CidrSize", "etag"),
    *("effectiveCgroupMode", "updateInfo"),
}
_MOST_IN_A_ZONE = 1000
# What a pool has that nobody has set anything of, and what only the service itself sets.
CONFIG: dict[str, Any] = {
    "machineType": "e2-standard-4",
    "diskSizeGb": 100,
    "imageType": "COS_CONTAINERD",
    "oauthScopes": ["https://www.googleapis.com/auth/cloud-platform"],
    "labels": {"team": "web"},
    "taints": [{"key": "only", "value": "web", "effect": "NO_SCHEDULE"}],
    "resourceLabels": {"cost": "7", "goog-gke-node-pool-provisioning-model": "on-demand"},
    "effectiveCgroupMode": "EFFECTIVE_CGROUP_MODE_V2",
}
EMPTY: dict[str, Any] = {}


class Nowhere:
    """No Kubernetes: machines are no Nodes."""

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
        del name, provider_id, labels

    def remove(self, name: str) -> None:
        del name


@dataclass
class Work:
    """One operation; ``error`` is known when it is over."""

    name: str
    action: str
    pool: str
    due: float
    over: bool = False
    error: dict[str, Any] | None = None

    @property
    def told(self) -> dict[str, Any]:
        kind, status = TYPES[self.action], "DONE" if self.over else "RUNNING"
        told: dict[str, Any] = {"name": self.name, "operationType": kind, "status": status, "location": REGION}
        return told | ({"error": self.error} if self.error else {})


class GkeServer(CloudServer):
    """One cluster of three zones; ``tells_failures`` is whether an operation says that machines could not be had."""

    kind: ClassVar[str] = "gke"
    sizes: ClassVar[tuple[str, ...]] = (SIZE,)
    removals: ClassVar[tuple[str, ...]] = (REMOVE,)

    def __init__(self, nodes: Nodes | None = None, *, seconds: float = 0.1, transport: str = "grpc") -> None:
        super().__init__(tls=server_tls())
        self.account = ServiceAccount()
        self.fleet = GroupFleet(nodes or Nowhere(), self.faults, self._provider_id, seconds=seconds)
        self.compute = Compute(self.fleet)
        self.tells_failures = True
        self.works: dict[str, Work] = {}
        self.transport = transport
        self._files = TemporaryDirectory()
        self._scratch = Path(self._files.name)
        self._grpc = GrpcDoor(MESSAGES, self.answered)

    def variables(self) -> dict[str, object]:
        """Return what the inventory says of the cluster."""
        return {"kind": "gke", "region": REGION, "cluster_id": CLUSTER, "project": PROJECT, "transport": self.transport}

    def environment(self, home: Path) -> dict[str, str]:
        """Return how the command line finds this server, and who it is there; writes two files."""
        roots = trusted(home / "roots.pem")
        port = self._grpc.wire.port if self.transport == "grpc" else self.port
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.account.write(home / "account.json")),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots),
            "REQUESTS_CA_BUNDLE": str(roots),
            "NO_GCE_CHECK": "true",
            "SCALER_ENDPOINT_GKE": f"https://127.0.0.1:{port}",
            "SCALER_ENDPOINT_COMPUTE": self.url,
        }

    def stranger(self) -> dict[str, str]:
        """Return the credentials of somebody whom the cloud does not know."""
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(ServiceAccount().write(self._scratch / "stranger.json"))}

    def add_pool(self, name: str, size: int, **more: Any) -> FakePool:
        """Let there be a pool with ``size`` machines, in one zone where ``zones`` says nothing else."""
        return self.fleet.put(FakePool(name, name, LABEL, name, size, **({"zones": ZONES[:1]} | more)))

    def size_asked(self, request: Request) -> int:
        """Return the size of the whole pool that a request asked for; on the wire is that of a zone."""
        asked = self._asked(request)
        zones = self.fleet.pools[asked["name"].rsplit("/", 1)[-1]].zones
        return int(asked.get("nodeCount", 0)) * len(zones)

    def removed(self, request: Request) -> list[str]:
        """Return the machines that a request ends."""
        return [url.rsplit("/", 1)[-1] for url in request.json["instances"]]

    def forget(self) -> None:
        """Begin a new record, with nothing going wrong or going on."""
        super().forget()
        self.works.clear()
        self.tells_failures, self.compute.page = True, compute.MOST_ON_A_PAGE

    def close(self) -> None:
        self._grpc.close()
        self._files.cleanup()
        super().close()

    def action(self, request: Request) -> str:
        found = compute.action(request)
        if found:
            return f"compute.{found}"
        routes = (name for method, path, name in _ROUTES if method == request.method and path.fullmatch(request.path))
        return next(routes, "unknown")

    def writes(self, request: Request) -> bool:
        return request.action in WRITES

    def answer(self, request: Request) -> Answer:
        try:
            audience = "compute" if request.action.startswith("compute.") else "container"
            self.account.check(request.headers.get("authorization", ""), f"https://{audience}.googleapis.com/")
            self._settle()
            if audience == "compute":
                return Answer(body=self.compute.answer(request))
            return Answer(body=self._container(request))
        except RefusedError as e:
            return self._refused(request, e)

    def fault(self, fault: str, request: Request) -> Answer:
        metric = (
            "Quota exceeded for quota metric 'Cluster write requests' and limit 'Cluster write requests per minute'"
        )
        lacking = (
            "Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '8' and is short '4'"
        )
        running = f"Cluster is running incompatible operation operation-{time.monotonic_ns()}."
        refusals = {
            "throttle": RefusedError("RESOURCE_EXHAUSTED", metric, "RATE_LIMIT_EXCEEDED"),
            "conflict": RefusedError("FAILED_PRECONDITION", running, "CLUSTER_ALREADY_HAS_OPERATION"),
            "quota": RefusedError("RESOURCE_EXHAUSTED", lacking),
            "broken": RefusedError("UNAVAILABLE", "The service is currently unavailable."),
        }
        if request.action.startswith("compute."):
            refusals |= {
                "throttle": RefusedError("PERMISSION_DENIED", "Rate Limit Exceeded", "rateLimitExceeded"),
                "conflict": RefusedError("FAILED_PRECONDITION", "The resource is not ready", "resourceNotReady"),
                "quota": RefusedError("PERMISSION_DENIED", "Quota 'CPUS' exceeded. Limit: 24.0", "quotaExceeded"),
                "broken": RefusedError("UNAVAILABLE", "Backend Error", "backendError"),
            }
        return self._refused(request, refusals[fault])

    def _refused(self, request: Request, refusal: RefusedError) -> Answer:
        answer = refusal.answer
        if request.path.startswith("/google."):
            return answer
        error = dict(answer.body["error"])
        if request.action.startswith("compute."):
            # Compute Engine's old form: reasons in `errors`, no `details`.
            error.pop("details")
            error["errors"] = [{"message": refusal.message, "domain": "global", "reason": refusal.reason}]
        else:
            # The REST twin loses the reason.
            error["details"] = [each for each in error["details"] if "reason" not in each]
        return answer._replace(body={"error": error})

    def _container(self, request: Request) -> dict[str, Any]:
        asked = self._asked(request)
        where = asked.get("parent") or asked.get("name", "")
        if not where.startswith(f"{PARENT}/nodePools/" if "/nodePools/" in where else (PARENT, f"{PLACE}/operations/")):
            raise RefusedError("NOT_FOUND", f"Not found: {where}.")
        if request.action == LIST:
            return {"nodePools": [self._told(each) for each in self.fleet.pools.values()]}
        if request.action == OPERATION:
            work = self.works.get(where.rsplit("/", 1)[-1])
            if work is None:
                raise RefusedError("NOT_FOUND", f"Not found: {where}.")
            return work.told
        pool = self.fleet.pools.get(where.rsplit("/", 1)[-1])
        if request.action != CREATE and pool is None:
            raise RefusedError("NOT_FOUND", f"Not found: {where}.")
        if request.action == GET and pool:
            return self._told(pool)
        for work in self.works.values():
            if not work.over:
                text = f"Cluster is running incompatible operation {work.name}."
                raise RefusedError("FAILED_PRECONDITION", text, "CLUSTER_ALREADY_HAS_OPERATION")
        return self._write(request.action, asked, pool).told

    def _asked(self, request: Request) -> dict[str, Any]:
        """Return what is asked for; a field that the message does not have is refused."""
        if request.path.startswith("/google."):
            return dict(request.json)
        match = next(
            (m for verb, path, _ in _ROUTES if verb == request.method and (m := path.fullmatch(request.path))), None
        )
        if match is None:
            raise RefusedError("NOT_FOUND", f"Not found: {request.path}")
        takes = MESSAGES[request.action][0]
        try:
            message = json_format.ParseDict(request.json | match.groupdict(), takes.pb(takes()))
        except json_format.ParseError as e:
            raise RefusedError("INVALID_ARGUMENT", f"Invalid JSON payload received: {e}") from e
        return dict(json_format.MessageToDict(message))

    def _write(self, action: str, asked: dict[str, Any], pool: FakePool | None) -> Work:
        if pool is None:
            pool = self._create(asked["nodePool"])
        elif action == SIZE:
            count = asked.get("nodeCount", 0)
            if not 0 <= count <= _MOST_IN_A_ZONE:
                raise RefusedError("INVALID_ARGUMENT", f"Node count {count} is not between 0 and {_MOST_IN_A_ZONE}.")
            self.fleet.want_in_each_zone(pool, count)
        elif action == AUTOSCALING:
            self._autoscale(pool, asked.get("autoscaling", EMPTY))
        else:
            self.fleet.want_in_each_zone(pool, 0)
        work = Work(f"operation-{time.monotonic_ns()}", action, pool.id, self.fleet.now() + self.fleet.seconds)
        self.works[work.name] = work
        return work

    def _create(self, wanted: dict[str, Any]) -> FakePool:
        name, count = wanted.get("name", ""), wanted.get("initialNodeCount", 0)
        read_only = sorted(_READ_ONLY & set(wanted)) or sorted(
            {"effectiveCgroupMode"} & set(wanted.get("config", EMPTY))
        )
        if not _NAME.fullmatch(name) or read_only:
            raise RefusedError("INVALID_ARGUMENT", f"node_pool.name {name!r}, or read-only: {read_only}")
        if name in self.fleet.pools:
            raise RefusedError("ALREADY_EXISTS", f"Already exists: {PARENT}/nodePools/{name}.")
        zones = tuple(wanted.get("locations", ZONES))
        pool = FakePool(name, name, LABEL, name, 0, zones=zones, more={"told": wanted})
        self._autoscale(pool, wanted.get("autoscaling", EMPTY))
        self.fleet.put(pool, 0)
        self.fleet.want_in_each_zone(pool, count)
        return pool

    def _autoscale(self, pool: FakePool, wanted: dict[str, Any]) -> None:
        total = {"totalMinNodeCount", "totalMaxNodeCount"} & set(wanted)
        if total and {"minNodeCount", "maxNodeCount"} & set(wanted):
            raise RefusedError("INVALID_ARGUMENT", "total_*_node_count and *_node_count are mutually exclusive.")
        most = wanted.get("totalMaxNodeCount", wanted.get("maxNodeCount", 0))
        least = wanted.get("totalMinNodeCount", wanted.get("minNodeCount", 0))
        if wanted.get("enabled") and not (0 <= least <= most and most):
            raise RefusedError("INVALID_ARGUMENT", f"Autoscaling limits {least} and {most} are invalid.")
        pool.autoscaled, pool.min, pool.max = bool(wanted.get("enabled")), least, most
        pool.more["autoscaling"] = wanted

    def _told(self, pool: FakePool) -> dict[str, Any]:
        own = {
            "totalMinNodeCount": pool.min,
            "totalMaxNodeCount": pool.max,
            "locationPolicy": "BALANCED",
            "enabled": True,
        }
        autoscaling = pool.more.get("autoscaling", own if pool.autoscaled else EMPTY)
        return {
            "initialNodeCount": 1,
            "config": CONFIG,
            "version": "1.33.5-gke.1080000",
            "maxPodsConstraint": {"maxPodsPerNode": "110"},
            "management": {"autoUpgrade": True, "autoRepair": True},
            **pool.more.get("told", EMPTY),
            "name": pool.name,
            "locations": list(pool.zones),
            "autoscaling": autoscaling,
            "status": self._status(pool),
            "etag": f"e{pool.version}",
            "podIpv4CidrSize": 24,
            "selfLink": f"https://container.googleapis.com/v1/{PARENT}/nodePools/{pool.name}",
            "instanceGroupUrls": [compute.group_url(pool, zone) for zone in pool.zones],
        }

    def _status(self, pool: FakePool) -> str:
        for work in self.works.values():
            if work.pool == pool.id and not work.over:
                return {CREATE: "PROVISIONING", DELETE: "STOPPING"}.get(work.action, "RECONCILING")
        return _STATES.get(pool.state, "RUNNING")

    def _settle(self) -> None:
        """Let everything that is due happen, and end what is over."""
        self.fleet.settle()
        now = self.fleet.now()
        for work in self.works.values():
            pool = self.fleet.pools.get(work.pool)
            if work.over or now < work.due or (pool and pool.busy):
                continue
            work.over = True
            failed = [each for each in pool.machines if each.state == "failed"] if pool else []
            if work.action == DELETE:
                self.fleet.pools.pop(work.pool, None)
            elif failed and self.tells_failures:
                work.error = {
                    "code": 8,
                    "message": f"{len(failed)} instances: {failed[0].reason}: not enough resources",
                }

    @staticmethod
    def _provider_id(machine: Machine) -> str:
        return f"gce://{PROJECT}/{machine.zone}/{machine.node}"


SERVER = GkeServer
