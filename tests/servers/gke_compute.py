"""Compute Engine's side of the server of GKE: a managed instance group for each zone of a pool.

What is taken is what the discovery document of compute v1 (revision of google-api-python-client 2.202.0) says:
methods, query parameters, fields of bodies.
"""

from __future__ import annotations

import re
import time
import uuid
import zlib
from typing import TYPE_CHECKING, Any

from tests.servers.base import FakePool, Fleet, Machine
from tests.servers.gke_wire import RefusedError

if TYPE_CHECKING:
    from tests.servers.base import Request

GET, LIST, DELETE, OPERATION = (
    "instanceGroupManagers.get",
    "instanceGroupManagers.listManagedInstances",
    "instanceGroupManagers.deleteInstances",
    "zoneOperations.get",
)
PROJECT, CLUSTER = "shop-prod", "prod"
SITE = "https://www.googleapis.com/compute/v1"
SOLD_OUT = "ZONE_RESOURCE_POOL_EXHAUSTED"
_ZONE = r"/compute/v1/projects/(?P<project>[^/]+)/zones/(?P<zone>[^/]+)"
_GROUP = _ZONE + r"/instanceGroupManagers/(?P<name>[^/]+)"
_ROUTES = (
    ("GET", re.compile(_GROUP), GET),
    ("POST", re.compile(_GROUP + "/listManagedInstances"), LIST),
    ("POST", re.compile(_GROUP + "/deleteInstances"), DELETE),
    ("GET", re.compile(_ZONE + r"/operations/(?P<name>[^/]+)"), OPERATION),
)
_PARAMETERS = {
    GET: set(),
    LIST: {"filter", "maxResults", "orderBy", "pageToken"},
    DELETE: {"noGracefulShutdown", "requestId"},
    OPERATION: set[str](),
}
_BODY = {"instances", "skipInstancesOnValidationError"}
MOST_ON_A_PAGE, _MOST_DELETED = 500, 1000


def action(request: Request) -> str:
    """Return the method's name, empty where the request is none of Compute Engine's."""
    found = (name for method, path, name in _ROUTES if method == request.method and path.fullmatch(request.path))
    return next(found, "")


def group_name(pool: FakePool, zone: str) -> str:
    return f"gke-{CLUSTER}-{pool.name}-{zlib.crc32(f'{pool.name}/{zone}'.encode()):08x}-grp"


def group_url(pool: FakePool, zone: str) -> str:
    return f"{SITE}/projects/{PROJECT}/zones/{zone}/instanceGroupManagers/{group_name(pool, zone)}"


class GroupFleet(Fleet):
    """Machines counted by zone: those that could not be started still count for the group, which goes on trying."""

    def put(self, pool: FakePool, size: int | None = None) -> FakePool:
        pool.more["targets"] = dict.fromkeys(pool.zones, 0)
        super().put(pool, size)
        for machine in pool.machines:
            pool.more["targets"][machine.zone] += 1
        pool.target = len(pool.machines)
        return pool

    def want_in_each_zone(self, pool: FakePool, count: int) -> None:
        for zone in pool.zones:
            self._want_in(pool, zone, count)
        pool.target, pool.version = count * len(pool.zones), pool.version + 1

    def end(self, pool: FakePool, machine: Machine) -> None:
        """End one machine, and let the size of its group go down."""
        pool.more["targets"][machine.zone] -= 1
        pool.target -= 1
        self._away(pool, machine)

    def _want_in(self, pool: FakePool, zone: str, count: int) -> None:
        pool.more["targets"][zone] = count
        there = [each for each in pool.machines if each.zone == zone and each.state != "leaving"]
        there.sort(key=lambda each: each.state == "failed")
        for machine in there[count:]:
            self._away(pool, machine)
        new = [each for each in there[:count] if each.state == "failed"]
        new += [self._placed(pool, self._start(pool), zone) for _ in range(count - len(there))]
        for machine in new:
            machine.state, machine.reason, machine.due = "starting", "", self.now() + self.seconds
            if self._faults.sold_out > 0:
                self._faults.sold_out -= 1
                machine.reason = SOLD_OUT

    def _away(self, pool: FakePool, machine: Machine) -> None:
        if machine.state == "failed":
            pool.machines.remove(machine)
        else:
            self.leave(machine)

    def _start(self, pool: FakePool) -> Machine:
        machine = super()._start(pool)
        return self._placed(pool, machine, machine.zone)

    def _placed(self, pool: FakePool, machine: Machine, zone: str) -> Machine:
        machine.zone = zone
        machine.id = machine.node = f"{group_name(pool, zone).removesuffix('-grp')}-{self._made:04x}"
        return machine


class Compute:
    """Answers the four methods; ``page`` is the number of machines on one page at most."""

    def __init__(self, fleet: GroupFleet) -> None:
        self.fleet = fleet
        self.page = MOST_ON_A_PAGE
        self._operations: dict[str, tuple[str, float]] = {}
        self._done: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> dict[str, Any]:
        name = action(request)
        unknown = set(request.query) - _PARAMETERS[name]
        if unknown:
            raise RefusedError("INVALID_ARGUMENT", f"Invalid value: unknown parameters {sorted(unknown)}", "invalid")
        found = next(match for _, path, _ in _ROUTES if (match := path.fullmatch(request.path)) and _is(path, name))
        if found["project"] != PROJECT:
            raise RefusedError("NOT_FOUND", f"The resource 'projects/{found['project']}' was not found", "notFound")
        if name == OPERATION:
            return self._operation(found["name"], found["zone"])
        pool, zone = self._group(found["zone"], found["name"])
        if name == GET:
            return self._get(pool, zone)
        return self._list(request, pool, zone) if name == LIST else self._delete(request, pool, zone)

    def hurry(self) -> None:
        """Let all operations be DONE; their machines take their time."""
        self._operations = {name: (zone, 0.0) for name, (zone, _) in self._operations.items()}

    def _group(self, zone: str, name: str) -> tuple[FakePool, str]:
        for pool in self.fleet.pools.values():
            if zone in pool.zones and group_name(pool, zone) == name:
                return pool, zone
        what = f"projects/{PROJECT}/zones/{zone}/instanceGroupManagers/{name}"
        raise RefusedError("NOT_FOUND", f"The resource '{what}' was not found", "notFound")

    def _get(self, pool: FakePool, zone: str) -> dict[str, Any]:
        states = [each.state for each in pool.machines if each.zone == zone]
        counts = {
            "none": states.count("running"),
            "creating": states.count("starting") + states.count("failed"),
            "deleting": states.count("leaving"),
        }
        names = ("abandoning", "creatingWithoutRetries", "recreating", "refreshing", "restarting", "verifying")
        return {
            "kind": "compute#instanceGroupManager",
            "name": group_name(pool, zone),
            "selfLink": group_url(pool, zone),
            "zone": f"{SITE}/projects/{PROJECT}/zones/{zone}",
            "targetSize": pool.more["targets"][zone],
            "currentActions": dict.fromkeys(names, 0) | counts,
            "listManagedInstancesResults": "PAGINATED",
        }

    def _list(self, request: Request, pool: FakePool, zone: str) -> dict[str, Any]:
        most = int(request.query.get("maxResults", [str(MOST_ON_A_PAGE)])[0])
        if not 0 < most <= MOST_ON_A_PAGE:
            raise RefusedError("INVALID_ARGUMENT", f"Invalid value for field 'maxResults': '{most}'", "invalid")
        start = int(request.query.get("pageToken", ["0"])[0])
        end = start + min(most, self.page)
        machines = [each for each in pool.machines if each.zone == zone]
        told: dict[str, Any] = {"managedInstances": [_managed(each) for each in machines[start:end]]}
        return told | ({"nextPageToken": str(end)} if end < len(machines) else {})

    def _delete(self, request: Request, pool: FakePool, zone: str) -> dict[str, Any]:
        body, token = request.json, request.query.get("requestId", [""])[0]
        if token in self._done:
            return self._done[token]
        if set(body) - _BODY or not 0 < len(body["instances"]) <= _MOST_DELETED or (token and not uuid.UUID(token).int):
            raise RefusedError("INVALID_ARGUMENT", "Invalid value for field 'resource'", "invalid")
        there = {f"zones/{zone}/instances/{each.id}": each for each in pool.machines if each.zone == zone}
        refused = self.fleet._faults.refuse
        fit = [each for url in body["instances"] if (each := there.get(url)) and each.state != "leaving"]
        fit = [each for each in fit if each.id not in refused]
        if len(fit) < len(body["instances"]) and not body.get("skipInstancesOnValidationError"):
            raise RefusedError("INVALID_ARGUMENT", "Some instances are not members of the group", "invalid")
        for machine in fit:
            self.fleet.end(pool, machine)
        name = f"operation-{time.monotonic_ns():x}"
        self._operations[name] = (zone, self.fleet.now() + self.fleet.seconds / 2)
        self._done[token] = self._operation(name, zone)
        return self._done[token]

    def _operation(self, name: str, zone: str) -> dict[str, Any]:
        where, due = self._operations.get(name, ("", 0.0))
        if where != zone:
            raise RefusedError("NOT_FOUND", f"The resource 'operations/{name}' was not found", "notFound")
        status = "DONE" if self.fleet.now() >= due else "RUNNING"
        kind = "compute.instanceGroupManagers.deleteInstances"
        return {"kind": "compute#operation", "name": name, "operationType": kind, "status": status, "zone": zone}


def _is(path: re.Pattern[str], name: str) -> bool:
    return any(path is each and name == method for _, each, method in _ROUTES)


def _managed(machine: Machine) -> dict[str, Any]:
    told: dict[str, Any] = {
        "instance": f"{SITE}/projects/{PROJECT}/zones/{machine.zone}/instances/{machine.id}",
        "name": machine.id,
        "targetStatus": "RUNNING",
    }
    if machine.state == "failed":
        message = f"The zone 'projects/{PROJECT}/zones/{machine.zone}' does not have enough resources: sold out"
        errors = [{"code": machine.reason, "message": message}]
        return told | {"currentAction": "CREATING", "lastAttempt": {"errors": {"errors": errors}}}
    action_, status = {"starting": ("CREATING", "STAGING"), "leaving": ("DELETING", "STOPPING")}.get(
        machine.state, ("NONE", "RUNNING")
    )
    return told | {"currentAction": action_, "instanceStatus": status}
