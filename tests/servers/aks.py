"""AKS on loopback: Azure Resource Manager for one cluster, and the token endpoint of Microsoft Entra, over TLS.

Tokens are checked, so are api-version, ETags and bodies; operations have signed addresses of their own, and what the
real service was seen to answer (azure-cli's public recordings) is what this one answers.
"""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from azure.mgmt.containerservice.models import AgentPool, AgentPoolDeleteMachinesParameter

from tests.servers.aks_entra import CLIENT, SECRET, TENANT, Entra
from tests.servers.aks_models import wrong
from tests.servers.base import Answer, CloudServer, FakePool, Fleet, Machine, pages
from tests.servers.tls import server_tls, trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.servers.base import Nodes, Request

API_VERSION, OPERATIONS_VERSION = "2026-08-01", "2016-03-30"
SUBSCRIPTION, GROUP, CLUSTER, REGION = "00000000-0000-0000-0000-00000000aaaa", "rg", "shop", "westus2"
LABEL = "kubernetes.azure.com/agentpool"
NODE_GROUP = f"MC_{GROUP}_{CLUSTER}_{REGION}"
QUOTA = (
    "ErrCode_InsufficientVCPUQuota",
    "Insufficient regional vcpu quota left for location westus2. left 2, needed 8",
)
SOLD_OUT = (
    "ReconcileVMSSAgentPoolFailed",
    (
        'VMSSAgentPoolReconciler retry failed: Code="AllocationFailed" Message="Allocation failed. We do not have '
        'sufficient capacity for the requested VM size in this region: it is sold out."'
    ),
)
_CLUSTER = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ContainerService"
    f"/managedClusters/{CLUSTER}"
)
_OPERATIONS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerService/locations/{REGION}/operations"
_PATHS = {
    ("GET", ""): "AgentPools_List",
    ("GET", "pool"): "AgentPools_Get",
    ("PUT", "pool"): "AgentPools_CreateOrUpdate",
    ("DELETE", "pool"): "AgentPools_Delete",
    ("GET", "machines"): "Machines_List",
    ("POST", "deleteMachines"): "AgentPools_DeleteMachines",
}
_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_SECRET_KEY = secrets.token_bytes()


class Refused(Exception):  # noqa: N818 - it is an answer, not a defect
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"error": {"code": code, "message": message}}, headers)


_USUAL: dict[str, Any] = {
    "vmSize": "Standard_D4lds_v5",
    "osDiskSizeGB": 150,
    "osDiskType": "Ephemeral",
    "kubeletDiskType": "OS",
    "maxPods": 250,
    "type": "VirtualMachineScaleSets",
    "availabilityZones": ["1", "2", "3"],
    "scaleDownMode": "Delete",
    "powerState": {"code": "Running"},
    "orchestratorVersion": "1.31",
    "enableNodePublicIP": False,
    "mode": "User",
    "nodeLabels": {"team": "shop"},
    "nodeTaints": ["dedicated=shop:NoSchedule"],
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "upgradeSettings": {"undrainableNodeBehavior": "Schedule", "maxUnavailable": "0"},
    "enableFIPS": False,
    "securityProfile": {"enableVTPM": False, "enableSecureBoot": False},
}
_KEPT_BY_POOL = {"count", "enableAutoScaling", "minCount", "maxCount"}


def _count(properties: dict[str, Any]) -> int:
    """Return the size that a pool is to have, which stands in its profile where it is one of virtual machines."""
    if "count" in properties:
        return int(properties["count"])
    groups = properties.get("virtualMachinesProfile", {}).get("scale", {}).get("manual") or []
    return sum(group["count"] for group in groups) if groups else 1


@dataclass
class Work:
    """One operation: what it is about, when it is over at the earliest, and what went wrong."""

    id: str
    pool: FakePool
    kind: str
    due: float
    machines: set[str] = field(default_factory=set)
    status: str = "InProgress"
    error: dict[str, Any] | None = None


class _Machines(Fleet):
    """Machines of scale sets, which have names like ``aks-web-34069586-vmss000001`` and no other IDs."""

    def _start(self, pool: FakePool) -> Machine:
        machine = super()._start(pool)
        machine.id = machine.node = f"aks-{pool.name}-34069586-vmss{self._made:06x}"
        return machine


def resource_id(machine: Machine) -> str:
    """Return the ID of a machine's instance in its scale set."""
    scale_set, number = machine.id[:-6], int(machine.id[-6:], 16)
    return (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{NODE_GROUP}/providers/Microsoft.Compute"
        f"/virtualMachineScaleSets/{scale_set}/virtualMachines/{number}"
    )


class AksServer(CloudServer):
    """One AKS cluster."""

    kind: ClassVar[str] = "aks"
    sizes: ClassVar[tuple[str, ...]] = ("AgentPools_CreateOrUpdate",)
    removals: ClassVar[tuple[str, ...]] = ("AgentPools_DeleteMachines",)

    def __init__(self, nodes: Nodes) -> None:
        self.tls = server_tls()
        super().__init__(tls=self.tls)
        # Kubernetes' spec.providerID has the group in small letters, AKS' resourceId has not.
        self.fleet = _Machines(
            nodes,
            self.faults,
            lambda machine: f"azure://{resource_id(machine).replace(NODE_GROUP, NODE_GROUP.lower())}",
        )
        self.entra = Entra(self.url)
        self._work: dict[str, Work] = {}
        self._as_usual()

    def _as_usual(self) -> None:
        self.page = 100
        self.gateway = False
        """Whether it is not AKS that answers a broken request, but what stands before it."""
        self.allowed = True
        self.stale = (412, "PreconditionFailed")
        self.failure = SOLD_OUT
        self.details: list[dict[str, str]] = []
        self.limit = QUOTA
        self.lowers = True
        """Whether ending machines lowers their pool's count."""
        self.sizes_autoscaled = True
        """Whether a size is taken while the autoscaler is on, as nobody outside knows for sure."""

    def variables(self) -> dict[str, object]:
        """Return what the inventory says of the cluster."""
        where = {"subscription": SUBSCRIPTION, "resource_group": GROUP}
        return {"kind": self.kind, "region": REGION, "cluster_id": CLUSTER, **where}

    def environment(self, home: Path) -> dict[str, str]:
        """Return how the command line finds this server and trusts it, and who it is there."""
        roots = trusted(home / "roots.pem")
        return {
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": SECRET,
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
            "REQUESTS_CA_BUNDLE": str(roots),
            "SCALER_ENDPOINT_AKS": self.url,
            "NO_PROXY": "127.0.0.1",
        }

    def stranger(self) -> dict[str, str]:
        """Return the secret of somebody whom Entra does not know."""
        return {"AZURE_CLIENT_SECRET": "another"}

    def add_pool(self, name: str, size: int, **more: Any) -> FakePool:
        """Let there be a pool with ``size`` machines; ``more`` are fields of ``FakePool``."""
        pool = self._new(name, {**_USUAL, "count": size})
        for field_name, value in more.items():
            setattr(pool, field_name, value)
        return self.fleet.put(pool)

    def put(self, name: str, size: int, **properties: Any) -> FakePool:
        """Let there be a pool with ``size`` machines, told by AKS' own ``properties``."""
        return self.fleet.put(self._new(name, {**_USUAL, **properties, "count": size}))

    def size_asked(self, request: Request) -> int:
        """Return the absolute size that a request asked for."""
        return _count(request.json["properties"])

    def removed(self, request: Request) -> list[str]:
        """Return the machines that a request ends."""
        return list(request.json["machineNames"])

    def reset(self) -> None:
        """Begin anew: no pools, no operations, no record, no faults."""
        with self._lock:
            self.forget()
            self.fleet.pools.clear()
            self._work.clear()
            self._as_usual()

    def action(self, request: Request) -> str:
        if request.path.startswith(f"/{TENANT}/"):
            return "Token" if request.method == "POST" else "Discovery"
        if request.path.startswith(_OPERATIONS):
            return "Operations_Get"
        return _PATHS.get((request.method, self._part(request)[1]), f"{request.method} {request.path}")

    def writes(self, request: Request) -> bool:
        return request.action.startswith("AgentPools_") and request.method != "GET"

    def fault(self, fault: str, request: Request) -> Answer:
        if fault == "broken" and self.gateway:
            return Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})
        pool = self._part(request)[0] or "web"
        status, code, message = {
            "throttle": (429, "TooManyRequests", "The request is being throttled. Try again later."),
            "conflict": (
                409,
                "OperationNotAllowed",
                f"Operation is not allowed because there's an in progress Scaling operation on agentpool {pool}.",
            ),
            "quota": (400, *self.limit),
            "broken": (500, "InternalServerError", "Encountered internal server error."),
        }[fault]
        headers = {"Retry-After": "1"} if fault == "throttle" else {}
        return self._with_id(Refused(status, code, message, **headers).answer)

    def answer(self, request: Request) -> Answer:
        self._settle()
        try:
            return self._with_id(self._answered(request))
        except Refused as e:
            return self._with_id(e.answer)

    def _answered(self, request: Request) -> Answer:
        if request.action in {"Discovery", "Token"}:
            return self.entra.answer(request)
        self._must_be_known(request)
        if request.action == "Operations_Get":
            return self._operation(request)
        self._must_have_version(request, API_VERSION)
        name, _ = self._part(request)
        answers: dict[str, Callable[[str, Request], Answer]] = {
            "AgentPools_List": self._list,
            "AgentPools_Get": lambda name, _: Answer(body=self._told(self._pool(name))),
            "AgentPools_CreateOrUpdate": self._create_or_update,
            "AgentPools_Delete": self._delete,
            "Machines_List": self._machines,
            "AgentPools_DeleteMachines": self._delete_machines,
        }
        if request.action not in answers:
            text = f"Can not perform requested operation on nested resource. Parent of '{request.path}' not found."
            raise Refused(404, "ParentResourceNotFound", text)
        return answers[request.action](name, request)

    def _with_id(self, answer: Answer) -> Answer:
        return answer._replace(headers={"x-ms-request-id": str(uuid.uuid4()), **answer.headers})

    def _must_be_known(self, request: Request) -> None:
        if not self.entra.knows(request):
            raise Refused(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if not self.allowed:
            text = f"The client '{CLIENT}' does not have authorization to perform action '{request.action}'."
            raise Refused(403, "AuthorizationFailed", text)

    def _must_have_version(self, request: Request, version: str) -> None:
        if request.query.get("api-version") != [version]:
            raise Refused(400, "InvalidApiVersionParameter", f"The api-version {request.query} is invalid.")

    def _part(self, request: Request) -> tuple[str, str]:
        """Return the pool's name and what of the pool the path is about."""
        lower = f"{_CLUSTER}/agentPools".lower()
        if not request.path.lower().startswith(lower):
            return "", "?"
        rest = request.path[len(lower) :].strip("/").split("/")
        if len(rest) > 1:
            return rest[0], rest[1]
        return rest[0], "pool" if rest[0] else ""

    def _pool(self, name: str) -> FakePool:
        pool = self.fleet.pools.get(name)
        if pool is None:
            raise Refused(404, "NotFound", f"Could not find agent pool {name}.")
        return pool

    def _etag(self, pool: FakePool) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{pool.id}/{pool.version}"))

    def written(self, pool: FakePool) -> dict[str, Any]:
        """Return the pool's properties as a write has them."""
        bounds = {"minCount": pool.min, "maxCount": pool.max} if pool.autoscaled else {}
        writable = {name: value for name, value in pool.more.items() if name != "status"}
        return {**writable, "count": pool.target, "enableAutoScaling": pool.autoscaled, **bounds}

    def _told(self, pool: FakePool) -> dict[str, Any]:
        properties = {
            **pool.more,
            **self.written(pool),
            "eTag": self._etag(pool),
            "provisioningState": pool.state,
            "currentOrchestratorVersion": "1.31.8",
            "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202506.03.0",
        }
        kind = "Microsoft.ContainerService/managedClusters/agentPools"
        return {"id": f"{_CLUSTER}/agentPools/{pool.name}", "name": pool.name, "type": kind, "properties": properties}

    def _new(self, name: str, properties: dict[str, Any]) -> FakePool:
        zones = tuple(properties.get("availabilityZones") or [""])
        pool = FakePool(name, name, LABEL, name, _count(properties), zones=zones, state="Succeeded")
        self._keep(pool, properties)
        return pool

    def _keep(self, pool: FakePool, properties: dict[str, Any]) -> None:
        """Let the pool be told by these properties and no others: a PUT replaces, what is left out is gone."""
        pool.more = {name: value for name, value in properties.items() if name not in _KEPT_BY_POOL}
        pool.autoscaled = bool(properties.get("enableAutoScaling"))
        if pool.autoscaled:
            pool.min, pool.max = properties["minCount"], properties["maxCount"]

    def _page(self, items: Iterable[Any], request: Request, *, empty: bool = False) -> Answer:
        """Return one page; after the last one an ``empty`` one may come."""
        cut = [*pages(list(items), self.page), *([[]] if empty else [])]
        number = int(request.query.get("$skipToken", ["0"])[0])
        body: dict[str, Any] = {"value": list(cut[number])}
        if number + 1 < len(cut):
            query = urlencode({"$skipToken": number + 1, "api-version": API_VERSION})
            body["nextLink"] = f"{self.url}{request.path}?{query}"
        return Answer(body=body)

    def _list(self, _: str, request: Request) -> Answer:
        # The real service was seen to name a next page where there is nothing more.
        return self._page([self._told(pool) for pool in self.fleet.pools.values()], request, empty=True)

    def _machines(self, name: str, request: Request) -> Answer:
        pool = self._pool(name)
        kind = "Microsoft.ContainerService/managedClusters/agentPools/machines"

        def told(machine: Machine) -> dict[str, Any]:
            addresses = [] if machine.state == "starting" else [{"family": "IPv4", "ip": "10.224.0.8"}]
            return {
                "id": f"{_CLUSTER}/agentPools/{name}/machines/{machine.id}",
                "name": machine.id,
                "type": kind,
                "properties": {"network": {"ipAddresses": addresses}, "resourceId": resource_id(machine)},
                "zones": [machine.zone] if machine.zone else None,
            }

        # A scale set that gets no capacity has no instance to show for it.
        return self._page([told(machine) for machine in pool.machines if not machine.reason], request)

    def _create_or_update(self, name: str, request: Request) -> Answer:
        if why := wrong(AgentPool, request.json):
            raise Refused(400, "UnmarshalError", f"Unmarshal encountered error: {why}")
        wanted = request.json.get("properties") or {}
        old = self.fleet.pools.get(name)
        self._must_match(request, old)
        self._must_be_free(old)
        self._must_be_valid(name, wanted, old)
        pool, count = old or self._new(name, {**wanted, "count": 0}), _count(wanted)
        kind = "Creating" if old is None else "Scaling" if count != pool.target else "Updating"
        self._keep(pool, {"powerState": {"code": "Running"}, **wanted})
        self.fleet.pools[name] = pool
        there = {machine.id for machine in pool.machines}
        if count != pool.target:
            self.fleet.want(pool, count, sold_out=self.failure[0])
        else:
            pool.version += 1
        moved = {machine.id for machine in pool.machines if machine.id not in there or machine.state == "leaving"}
        headers = self._begin(pool, kind, moved)
        return Answer(200 if old else 201, self._told(pool), headers)

    def _must_match(self, request: Request, pool: FakePool | None) -> None:
        asked, status_and_code = request.headers.get("if-match", "").strip('"'), self.stale
        if asked and (pool is None or asked != self._etag(pool)):
            raise Refused(*status_and_code, "The eTag of the agent pool does not match the one of the request.")
        if request.headers.get("if-none-match") == "*" and pool is not None:
            raise Refused(412, "PreconditionFailed", f"The agent pool {pool.name} is there already.")

    def _must_be_free(self, pool: FakePool | None) -> None:
        if pool is not None and pool.state not in {"Succeeded", "Failed", "Canceled"}:
            raise Refused(
                409,
                "OperationNotAllowed",
                f"Operation is not allowed: Another agentpool operation ({pool.name} - {pool.state}) is in progress, "
                "please wait for it to finish before starting a new operation.",
            )

    def _must_be_valid(self, name: str, wanted: dict[str, Any], old: FakePool | None) -> None:
        count, least = _count(wanted), 1 if wanted.get("mode") == "System" else 0
        low, high, on = wanted.get("minCount"), wanted.get("maxCount"), bool(wanted.get("enableAutoScaling"))
        if not _NAME.fullmatch(name):
            raise Refused(400, "InvalidParameter", f"Agent pool name {name} is invalid: a-z and 0-9, 12 at most.")
        if not least <= count <= 1000:
            raise Refused(400, "InvalidParameter", f"agentPoolProfile.count was {count}. It must be {least} to 1000.")
        if on and (low is None or high is None or not least <= low <= high):
            raise Refused(400, "InvalidParameter", f"minCount {low} and maxCount {high} are no bounds.")
        if not on and (low is not None or high is not None):
            raise Refused(400, "InvalidParameter", "minCount and maxCount need enableAutoScaling.")
        if on and (old is None or count != old.target) and not (low or 0) <= count <= (high or 0):
            raise Refused(400, "InvalidParameter", f"count {count} is not between {low} and {high}.")
        if on and old and count != old.target and not (old.autoscaled and self.sizes_autoscaled):
            text = f"Cannot manually scale a node pool of which the cluster autoscaler is enabled: '{name}'."
            raise Refused(400, "BadRequest", text)
        if old is not None and wanted.get("vmSize") != old.more.get("vmSize"):
            raise Refused(400, "PropertyChangeNotAllowed", "Changing property 'properties.vmSize' is not allowed.")

    def _delete(self, name: str, request: Request) -> Answer:
        pool = self.fleet.pools.get(name)
        if pool is None:
            return Answer(204)
        self._must_match(request, pool)
        self._must_be_free(pool)
        for machine in pool.machines:
            self.fleet.leave(machine)
        return Answer(202, None, self._begin(pool, "Deleting", {machine.id for machine in pool.machines}))

    def _delete_machines(self, name: str, request: Request) -> Answer:
        if why := wrong(AgentPoolDeleteMachinesParameter, request.json):
            raise Refused(400, "UnmarshalError", f"Unmarshal encountered error: {why}")
        pool, names = self._pool(name), list(request.json.get("machineNames") or [])
        self._must_be_free(pool)
        by_name = {machine.id: machine for machine in pool.machines}
        if not names or (unknown := [each for each in names if each not in by_name]):
            raise Refused(400, "InvalidParameter", f"Machine names {unknown if names else names} are invalid.")
        going = [by_name[each] for each in names if each not in self.faults.refuse]
        for machine in going:
            self.fleet.leave(machine)
        pool.version += 1
        if self.lowers:
            pool.target -= len(going)
        headers = self._begin(pool, "Deleting machines", {machine.id for machine in going})
        kept = [each for each in names if each in self.faults.refuse]
        if kept:
            work = self._work[headers["Azure-AsyncOperation"].split("/operations/")[1].split("?")[0]]
            details = [{"code": "CannotDeleteMachine", "message": "The VM is locked.", "target": each} for each in kept]
            text = f"{len(kept)} of {len(names)} machines could not be deleted."
            work.error = {"code": "DeleteMachinesFailed", "message": text, "details": details}
        return Answer(202, None, headers)

    def _begin(self, pool: FakePool, kind: str, machines: set[str]) -> dict[str, str]:
        pool.state = "Updating" if kind == "Deleting machines" else kind
        pool.more.pop("status", None)
        work = Work(str(uuid.uuid4()), pool, kind, self.fleet.now() + self.fleet.seconds, machines)
        self._work[work.id] = work
        query = urlencode({"api-version": OPERATIONS_VERSION, "t": "638623592593723046", "h": _signature(work.id)})
        return {"Azure-AsyncOperation": f"{self.url}{_OPERATIONS}/{work.id}?{query}", "Retry-After": "30"}

    def _operation(self, request: Request) -> Answer:
        self._must_have_version(request, OPERATIONS_VERSION)
        name = request.path.rpartition("/")[2]
        if request.query.get("h") != [_signature(name)]:
            raise Refused(403, "InvalidAsyncOperationSignature", "The signature of the operation is invalid.")
        work = self._work.get(name)
        if work is None:
            raise Refused(404, "NotFound", f"The entity {name} was not found.")
        body = {"name": work.id, "status": work.status, "startTime": "2026-03-01T02:00:00.8880677Z"}
        headers = {"Retry-After": "30"} if work.status == "InProgress" else {}
        return Answer(body=body | ({"error": work.error} if work.status == "Failed" else {}), headers=headers)

    def forget_operations(self) -> None:
        """Let no operation be known any more, as the real service does after some days."""
        with self._lock:
            self._settle()
            self._work.clear()

    def _settle(self) -> None:
        """Let time pass: machines come and go, and operations end with the last one of theirs."""
        self.fleet.settle()
        now = self.fleet.now()
        for work in [each for each in self._work.values() if each.status == "InProgress" and each.due <= now]:
            theirs = [machine for machine in work.pool.machines if machine.id in work.machines]
            if not any(machine.state in {"starting", "leaving"} for machine in theirs):
                self._end(work, [machine for machine in theirs if machine.state == "failed"])

    def _end(self, work: Work, failed: list[Machine]) -> None:
        for machine in failed:
            work.pool.machines.remove(machine)
        if failed:
            code, message = self.failure
            work.error = {"code": code, "message": message, "details": self.details}
        work.status = "Failed" if work.error else "Succeeded"
        work.pool.state = work.status
        if work.error:
            work.pool.more["status"] = {"provisioningError": work.error}
        if work.kind == "Deleting":
            self.fleet.pools.pop(work.pool.id, None)


def _signature(name: str) -> str:
    return hmac.new(_SECRET_KEY, name.encode(), "sha256").hexdigest()


SERVER = AksServer
