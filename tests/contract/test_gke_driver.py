"""The driver of GKE against its server: gRPC and HTTPS over real sockets, with Google's own libraries."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions as google

from scaler.drivers import cloud_gke_errors as errors
from scaler.drivers.cloud import Cloud, Doors, of
from scaler.drivers.cloud_calls import ATTEMPTS, Calls
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    InputError,
    NotOfferedError,
    QuotaError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)
from scaler.gateways.clock import SystemClock, wait_until
from scaler.model.clouds import MANAGED
from scaler.model.pools import Autoscaling, Operation, PoolSpec
from tests.fakes.clock import BEGIN, FakeClock
from tests.servers.base import Machine
from tests.servers.gke import (
    AUTOSCALING,
    CREATE,
    DELETE,
    GET,
    LABEL,
    LIST,
    MACHINES,
    OPERATION,
    PARENT,
    REMOVE,
    SIZE,
    ZONES,
    GkeServer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scaler.model.pools import Pool, Progress

pytestmark = pytest.mark.cloud

both_ways = pytest.mark.parametrize("transport", ["grpc", "rest"], indirect=True, scope="module")
WEB = f"{PARENT}/nodePools/web"
COMPUTE_GET = "compute.instanceGroupManagers.get"
ON = Autoscaling(on=True, min=3, max=12)
MESSAGE = {
    "throttle": "per minute",
    "conflict": "incompatible operation",
    "quota": "Insufficient regional quota",
    "broken": "currently unavailable",
}


class SomeNodes:
    def __init__(self) -> None:
        self.there: dict[str, tuple[str, dict[str, str]]] = {}

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
        self.there[name] = (provider_id, labels)

    def remove(self, name: str) -> None:
        self.there.pop(name, None)


NODES = SomeNodes()


@pytest.fixture(scope="module")
def transport(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "grpc"))


@pytest.fixture(scope="module")
def listening(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GkeServer]:
    server = GkeServer(NODES, transport=transport)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment(tmp_path_factory.mktemp("gke")).items():
            patch.setenv(name, value)
        yield server
    server.close()


@pytest.fixture(scope="module")
def one(listening: GkeServer) -> Cloud:
    return driver(listening)


@pytest.fixture
def server(listening: GkeServer) -> GkeServer:
    listening.fleet.pools.clear()
    listening.fleet.seconds = 0.0
    NODES.there.clear()
    listening.add_pool("web", 6, zones=ZONES)
    listening.forget()
    return listening


@pytest.fixture
def gke(server: GkeServer, one: Cloud) -> Cloud:
    server.forget()
    return one


def take_long(server: GkeServer) -> None:
    """Let nothing come to its end before it is hurried."""
    server.fleet.seconds = 600


def hurry(server: GkeServer) -> None:
    """Let everything come to its end."""
    for work in server.works.values():
        work.due = 0.0
    for machine in (machine for pool in server.fleet.pools.values() for machine in pool.machines):
        machine.due = 0.0


def driver(server: GkeServer, **changed: Any) -> Cloud:
    variables = {"cluster_name": "prod", "admin_kubeconfig": "none", **server.variables(), **changed}
    clock = FakeClock()
    doors = Doors(
        cluster=MANAGED.validate_python(variables),
        clock=clock,
        environment=os.environ,
        make_calls=lambda translate: Calls(clock, translate),
    )
    return of("gke")(doors)


def web(gke: Cloud) -> Pool:
    pool = gke.pool("web")
    assert pool is not None
    return pool


def ended(gke: Cloud, operation: Operation) -> Progress:
    last: list[Progress] = []

    def over() -> bool:
        last[:] = [gke.poll(operation)]
        return last[0].state != "running"

    assert wait_until(SystemClock(), over, timeout=10, every=0.02)
    return last[0]


def reason(server: GkeServer, told: str) -> str:
    """Return the code that is told for a refusal whose reason the REST twin loses."""
    lost = {"RATE_LIMIT_EXCEEDED": "RESOURCE_EXHAUSTED", "CLUSTER_ALREADY_HAS_OPERATION": "FAILED_PRECONDITION"}
    return lost[told] if server.transport == "rest" else told


# What is there


@both_ways
def test_sizes_are_those_of_all_zones(gke: Cloud, server: GkeServer) -> None:
    server.add_pool("small", 0, zones=ZONES[:1])
    pools = {pool.name: pool for pool in gke.pools()}
    assert set(pools) == {"web", "small"}
    pool = pools["web"]
    assert (pool.id, pool.target, pool.actual, pool.zones, pool.per_zone) == ("web", 6, 6, ZONES, True)
    assert (pool.state, pool.told, pool.machine, pool.etag) == ("ready", "RUNNING", "e2-standard-4", "")
    assert (pool.label, pool.value) == (LABEL, "web")
    assert (pools["small"].target, pools["small"].per_zone) == (0, False)
    assert len(server.asked(LIST)) == 1


def test_a_pool_that_rests_is_asked_for_no_machines(gke: Cloud, server: GkeServer) -> None:
    web(gke)
    assert [len(server.asked(action)) for action in (GET, COMPUTE_GET, MACHINES)] == [1, 3, 0]


@both_ways
def test_a_pool_that_is_not_there_is_none(gke: Cloud) -> None:
    pool = web(gke)
    assert gke.pool("other") is None
    assert gke.instances(pool.model_copy(update={"id": "other"})) == ()


@both_ways
def test_a_cluster_that_is_not_there_is_an_error(server: GkeServer) -> None:
    with pytest.raises(CloudError, match="Not found") as told:
        driver(server, cluster_id="other").pools()
    assert told.value.code == "NOT_FOUND"


def test_without_an_autoscaler_a_pool_has_no_bounds(gke: Cloud) -> None:
    pool = web(gke)
    assert (pool.autoscaled, pool.min, pool.max) == (False, None, None)


@pytest.mark.parametrize(
    ("told", "bounds"),
    [
        ({"minNodeCount": 1, "maxNodeCount": 4}, (3, 12)),
        ({"totalMinNodeCount": 2, "totalMaxNodeCount": 7}, (2, 7)),
        ({"totalMaxNodeCount": 7}, (0, 7)),
    ],
)
def test_bounds_count_the_whole_pool(
    gke: Cloud, server: GkeServer, told: dict[str, int], bounds: tuple[int, int]
) -> None:
    server.fleet.pools["web"].more["autoscaling"] = {"enabled": True, **told}
    pool = web(gke)
    assert (pool.autoscaled, pool.min, pool.max) == (True, *bounds)


@pytest.mark.parametrize(
    ("state", "told"),
    [("changing", "RECONCILING"), ("deleting", "STOPPING"), ("failed", "ERROR"), ("degraded", "RUNNING_WITH_ERROR")],
)
def test_a_state_is_told_in_googles_word(gke: Cloud, server: GkeServer, state: str, told: str) -> None:
    pool = server.fleet.pools["web"]
    pool.state = state
    if state == "deleting":
        # One without machines is gone at once.
        pool.machines[0].state, pool.machines[0].due = "leaving", float("inf")
    assert (web(gke).state, web(gke).told) == (state, told)


def test_conditions_are_troubles(gke: Cloud, server: GkeServer) -> None:
    condition = {"code": "GCE_STOCKOUT", "canonicalCode": "RESOURCE_EXHAUSTED", "message": "no machines"}
    newer = {"canonicalCode": "RESOURCE_EXHAUSTED", "message": "none left"}
    server.fleet.pools["web"].more["told"] = {"conditions": [condition, newer]}
    told = [(trouble.code, trouble.message) for trouble in web(gke).troubles]
    assert told == [("GCE_STOCKOUT", "no machines"), ("RESOURCE_EXHAUSTED", "none left")]


def test_a_machine_is_the_node_of_its_name(gke: Cloud, server: GkeServer) -> None:
    machines = gke.instances(web(gke))
    assert len(machines) == len(NODES.there) == 6
    for machine in machines:
        provider_id, labels = NODES.there[machine.node]
        assert machine.is_node(machine.id, provider_id)
        assert (machine.state, labels) == ("running", {LABEL: "web"})
        assert machine.provider_id == f"gce://shop-prod/{machine.zone}/{machine.id}"
    assert {machine.zone for machine in machines} == set(ZONES)
    assert server.asked(REMOVE) == []


def test_machines_are_told_as_they_are(gke: Cloud, server: GkeServer) -> None:
    machines = server.fleet.pools["web"].machines
    for machine, state in zip(machines, ("starting", "leaving", "failed"), strict=False):
        machine.state, machine.due, machine.reason = state, float("inf"), "ZONE_RESOURCE_POOL_EXHAUSTED"
    told = {each.id: each for each in gke.instances(web(gke))}
    assert [told[machine.id].state for machine in machines[:4]] == ["starting", "leaving", "failed", "running"]
    why = told[machines[2].id].reason
    assert why is not None
    assert (why.what, why.code) == (machines[2].id, "ZONE_RESOURCE_POOL_EXHAUSTED")
    assert "does not have enough resources" in why.message
    assert (web(gke).target, web(gke).actual) == (6, 5)


def test_every_page_is_read(gke: Cloud, server: GkeServer) -> None:
    server.compute.page = 50
    server.add_pool("big", 330, zones=ZONES)
    pool = gke.pool("big")
    assert pool is not None
    assert (pool.target, pool.actual) == (330, 330)
    assert len({machine.id for machine in gke.instances(pool)}) == 330
    assert len(server.asked(MACHINES)) == 9
    assert [request.query.get("pageToken") for request in server.asked(MACHINES)][:3] == [None, ["50"], ["100"]]


# Sizes


@both_ways
@pytest.mark.parametrize(("size", "count"), [(9, 3), (3, 1), (6, 2)])
def test_each_zone_gets_its_share_and_nothing_else_is_said(
    gke: Cloud, server: GkeServer, size: int, count: int
) -> None:
    operation = gke.set_size(web(gke), size)
    (request,) = server.asked(SIZE)
    asked = request.json
    assert asked.pop("name", WEB) == WEB
    assert asked == {"nodeCount": count}
    assert (operation.change, operation.pool, operation.target) == ("set-size", "web", size)
    assert operation.id.startswith("operation-")


@both_ways
def test_a_size_of_none_is_none(gke: Cloud, server: GkeServer) -> None:
    assert ended(gke, gke.set_size(web(gke), 0)).state == "done"
    assert (web(gke).target, web(gke).actual, NODES.there) == (0, 0, {})
    assert server.size_asked(server.asked(SIZE)[0]) == 0


def test_a_size_that_zones_cannot_share_is_not_asked_for(gke: Cloud, server: GkeServer) -> None:
    pool = web(gke)
    with pytest.raises(InputError, match="cannot be spread evenly over 3 zones") as told:
        gke.set_size(pool, 7)
    assert told.value.hint == "ask for 6 or 9"
    with pytest.raises(InputError):
        gke.create_like(pool, PoolSpec(name="new", size=4))
    assert server.asked(SIZE, CREATE) == []


@both_ways
def test_growing_runs_until_google_is_done(gke: Cloud, server: GkeServer) -> None:
    take_long(server)
    operation = gke.set_size(web(gke), 9)
    first = gke.poll(operation)
    assert (first.state, first.told) == ("running", "SET_NODE_POOL_SIZE is RUNNING")
    assert web(gke).state == "changing"
    hurry(server)
    assert ended(gke, operation).state == "done"
    assert (web(gke).target, web(gke).actual, web(gke).state) == (9, 9, "ready")
    assert len(NODES.there) == 9


def test_another_process_polls_what_this_one_began(gke: Cloud, server: GkeServer) -> None:
    kept = gke.set_size(web(gke), 3).model_dump_json()
    assert ended(driver(server), Operation.model_validate_json(kept)).state == "done"


@pytest.mark.parametrize("tells", [True, False])
def test_some_of_what_was_asked_is_partial_whatever_the_operation_says(
    gke: Cloud, server: GkeServer, *, tells: bool
) -> None:
    server.tells_failures, server.faults.sold_out = tells, 2
    progress = ended(gke, gke.set_size(web(gke), 12))
    assert (progress.state, progress.cause) == ("partial", "sold-out")
    assert [trouble.code for trouble in progress.troubles][-2:] == ["ZONE_RESOURCE_POOL_EXHAUSTED"] * 2
    assert (progress.troubles[0].code == "RESOURCE_EXHAUSTED") is tells
    assert (web(gke).target, web(gke).actual) == (12, 10)


def test_nothing_of_what_was_asked_is_a_failure(gke: Cloud, server: GkeServer) -> None:
    server.faults.sold_out = 3
    progress = ended(gke, gke.set_size(web(gke), 9))
    assert (progress.state, progress.cause) == ("failed", "sold-out")
    assert ended(gke, gke.set_size(web(gke), 6)).state == "done"
    assert (web(gke).target, web(gke).actual) == (6, 6)


@both_ways
def test_an_operation_is_done_with_an_error(gke: Cloud, server: GkeServer) -> None:
    operation = gke.set_size(web(gke), 9)
    work = server.works[operation.id]
    work.error = {"code": 8, "message": "Insufficient quota to satisfy the request: IN_USE_ADDRESSES"}
    progress = ended(gke, operation)
    assert (progress.state, progress.cause) == ("partial", "quota")
    assert [(each.what, each.code) for each in progress.troubles] == [("web", "RESOURCE_EXHAUSTED")]


# What goes wrong


WRITES: dict[str, tuple[str, Callable[[Cloud], Operation]]] = {
    "set_size": (SIZE, lambda gke: gke.set_size(web(gke), 9)),
    "set_autoscaling": (AUTOSCALING, lambda gke: gke.set_autoscaling(web(gke), ON)),
    "create_like": (CREATE, lambda gke: gke.create_like(web(gke), PoolSpec(name="new", size=3))),
    "delete": (DELETE, lambda gke: gke.delete(web(gke))),
    "remove_instances": (REMOVE, lambda gke: gke.remove_instances(web(gke), gke.instances(web(gke))[:1])),
}
KINDS: dict[str, tuple[type[CloudError], str, str]] = {
    "conflict": (ConflictError, "CLUSTER_ALREADY_HAS_OPERATION", "resourceNotReady"),
    "quota": (QuotaError, "RESOURCE_EXHAUSTED", "quotaExceeded"),
    "throttle": (ThrottledError, "RATE_LIMIT_EXCEEDED", "rateLimitExceeded"),
}


@both_ways
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("fault", KINDS)
def test_a_refusal_is_told_with_googles_code_and_request(gke: Cloud, server: GkeServer, write: str, fault: str) -> None:
    action, act = WRITES[write]
    server.faults.set(fault, 99, action)
    kind, code, of_compute = KINDS[fault]
    with pytest.raises(kind) as told:
        act(gke)
    if write == "remove_instances":
        assert (told.value.code, told.value.request) == (of_compute, "")
    else:
        expected = code if fault == "quota" else reason(server, code)
        assert told.value.code == expected
        assert told.value.request.startswith("req-")
        assert told.value.request in told.value.message
        assert MESSAGE[fault] in told.value.message
    assert len(server.asked(action)) == (ATTEMPTS if fault == "throttle" else 1)


@pytest.mark.parametrize("write", WRITES)
def test_a_throttled_write_is_repeated_until_it_is_taken(gke: Cloud, server: GkeServer, write: str) -> None:
    action, act = WRITES[write]
    server.faults.set("throttle", 2, action)
    assert act(gke).change
    assert len(server.asked(action)) == 3
    assert len({request.body for request in server.asked(action)}) == 1


@both_ways
@pytest.mark.parametrize("write", WRITES)
def test_behind_a_server_error_only_what_is_absolute_is_repeated(gke: Cloud, server: GkeServer, write: str) -> None:
    action, act = WRITES[write]
    server.faults.set("broken", 1, action)
    if write == "create_like":
        with pytest.raises(AmbiguousError):
            act(gke)
        assert len(server.asked(action)) == 1
    else:
        assert act(gke).id
        assert len(server.asked(action)) == 2


@both_ways
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("fault", ["cut", "cut_before"])
def test_a_write_whose_answer_was_lost_is_sent_once(gke: Cloud, server: GkeServer, write: str, fault: str) -> None:
    action, act = WRITES[write]
    server.faults.set(fault, 1, action)
    with pytest.raises(AmbiguousError):
        act(gke)
    assert len(server.asked(action)) == 1


@pytest.mark.parametrize("action", [GET, LIST, COMPUTE_GET])
@pytest.mark.parametrize("fault", ["cut", "broken", "throttle"])
def test_a_read_is_repeated(gke: Cloud, server: GkeServer, action: str, fault: str) -> None:
    server.faults.set(fault, 2, action)
    pools = gke.pools() if action == LIST else (web(gke),)
    assert [pool.target for pool in pools] == [6]


def test_a_read_that_breaks_each_time_is_no_question_of_what_was_done(gke: Cloud, server: GkeServer) -> None:
    server.faults.set("cut", 99, LIST)
    with pytest.raises(CloudError) as told:
        gke.pools()
    assert not isinstance(told.value, AmbiguousError)
    assert len(server.asked(LIST)) == ATTEMPTS


def test_one_operation_at_a_time_in_a_cluster(gke: Cloud, server: GkeServer) -> None:
    server.add_pool("other", 1)
    other = gke.pool("other")
    assert other is not None
    take_long(server)
    operation = gke.set_size(web(gke), 9)
    with pytest.raises(ConflictError, match=operation.id):
        gke.set_size(other, 2)


@both_ways
def test_a_stranger_is_not_known(server: GkeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.stranger().items():
        monkeypatch.setenv(name, value)
    stranger = driver(server)
    with pytest.raises(CredentialsError, match="invalid authentication credentials") as told:
        stranger.pools()
    assert told.value.code == "UNAUTHENTICATED"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in told.value.hint
    assert len(server.asked(LIST)) <= 3


def test_without_credentials_googles_chain_is_named(
    server: GkeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    with pytest.raises(CredentialsError) as told:
        driver(server).pools()
    assert told.value.code == "DefaultCredentialsError"
    assert "gcloud auth application-default login" in told.value.hint


@both_ways
@pytest.mark.parametrize("service", ["GKE", "COMPUTE"])
def test_where_nobody_listens_nothing_was_sent(
    server: GkeServer, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.setenv(f"SCALER_ENDPOINT_{service}", "https://127.0.0.1:9")
    with pytest.raises(UnreachableError):
        driver(server).pools()


def test_a_server_whose_certificate_is_not_trusted_is_not_talked_to(
    server: GkeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        driver(server).pools()


def test_an_endpoint_without_tls_is_refused(server: GkeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_ENDPOINT_GKE", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="TLS"):
        driver(server).pools()


# Autoscaling


@both_ways
def test_bounds_are_those_of_the_whole_pool_and_what_is_not_changed_is_said_again(
    gke: Cloud, server: GkeServer
) -> None:
    server.fleet.pools["web"].more["autoscaling"] = {"enabled": True, "maxNodeCount": 2, "locationPolicy": "ANY"}
    assert ended(gke, gke.set_autoscaling(web(gke), ON)).state == "done"
    (request,) = server.asked(AUTOSCALING)
    asked = request.json["autoscaling"]
    policy = asked.pop("locationPolicy")
    assert asked == {"enabled": True, "totalMinNodeCount": 3, "totalMaxNodeCount": 12}
    assert policy in {"ANY", 2}
    assert (web(gke).min, web(gke).max, web(gke).autoscaled, web(gke).target) == (3, 12, True, 6)
    assert server.asked(SIZE) == []


def test_switched_off_an_autoscaler_has_no_bounds(gke: Cloud, server: GkeServer) -> None:
    server.fleet.pools["web"].autoscaled = True
    assert ended(gke, gke.set_autoscaling(web(gke), Autoscaling(on=False, min=1, max=9))).state == "done"
    (request,) = server.asked(AUTOSCALING)
    assert set(request.json["autoscaling"]) <= {"enabled"}
    assert (web(gke).autoscaled, web(gke).max) == (False, None)


# Pools


@both_ways
def test_a_pool_like_another_has_all_that_can_be_set(gke: Cloud, server: GkeServer) -> None:
    server.fleet.pools["web"].more["told"] = {
        "upgradeSettings": {"maxSurge": 2},
        "networkConfig": {"podRange": "pods-web", "podIpv4CidrBlock": "10.96.0.0/14"},
    }
    take_long(server)
    operation = gke.create_like(web(gke), PoolSpec(name="new", size=3, autoscaling=ON))
    (request,) = server.asked(CREATE)
    asked = request.json["nodePool"]
    assert (asked["name"], asked["initialNodeCount"], asked["locations"]) == ("new", 1, list(ZONES))
    assert asked["config"]["resourceLabels"] == {"cost": "7"}
    assert asked["config"]["machineType"] == "e2-standard-4"
    assert asked["config"]["labels"] == {"team": "web"}
    assert [taint["key"] for taint in asked["config"]["taints"]] == ["only"]
    assert asked["upgradeSettings"]["maxSurge"] == 2
    assert asked["networkConfig"] == {"podRange": "pods-web"}
    assert asked["autoscaling"]["totalMaxNodeCount"] == 12
    assert {"status", "etag", "selfLink", "instanceGroupUrls", "podIpv4CidrSize"} & set(asked) == set()
    assert "effectiveCgroupMode" not in asked["config"]
    assert (operation.pool, operation.target) == ("new", 3)
    assert gke.poll(operation).state == "running"
    hurry(server)
    assert ended(gke, operation).state == "done"
    made = gke.pool("new")
    assert made is not None
    assert (made.target, made.actual, made.zones) == (3, 3, ZONES)


@both_ways
def test_a_name_that_is_taken_is_refused(gke: Cloud) -> None:
    with pytest.raises(CloudError, match="Already exists") as told:
        gke.create_like(web(gke), PoolSpec(name="web", size=3))
    assert (type(told.value), told.value.code) == (CloudError, "ALREADY_EXISTS")


def test_a_new_pool_without_machines_has_failed(gke: Cloud, server: GkeServer) -> None:
    server.faults.sold_out = 3
    progress = ended(gke, gke.create_like(web(gke), PoolSpec(name="new", size=3)))
    assert (progress.state, progress.cause) == ("failed", "sold-out")


@both_ways
def test_a_deleted_pool_is_gone_with_its_machines(gke: Cloud, server: GkeServer) -> None:
    take_long(server)
    operation = gke.delete(web(gke))
    assert (web(gke).state, gke.poll(operation).state) == ("deleting", "running")
    hurry(server)
    assert ended(gke, operation).state == "done"
    assert (gke.pool("web"), NODES.there) == (None, {})


def test_a_pool_that_is_being_deleted_is_not_asked_for_again(gke: Cloud, server: GkeServer) -> None:
    take_long(server)
    before = web(gke)
    gke.delete(before)
    for pool in (web(gke), before):
        again = gke.delete(pool)
        assert again.id == ""
    hurry(server)
    assert ended(gke, again).state == "done"
    assert len(server.asked(DELETE)) == 2


def test_deleting_what_is_gone_is_done(gke: Cloud, server: GkeServer) -> None:
    pool = web(gke)
    server.fleet.pools.clear()
    assert gke.poll(gke.delete(pool)).state == "done"


# Machines


def test_machines_end_by_group_and_sizes_go_down_with_them(gke: Cloud, server: GkeServer) -> None:
    machines = gke.instances(web(gke))
    leaving = [machines[0], machines[1], machines[5]]
    take_long(server)
    operation = gke.remove_instances(web(gke), leaving)
    requests = server.asked(REMOVE)
    assert [request.json for request in requests] == [
        {
            "instances": [f"zones/{each.zone}/instances/{each.id}" for each in group],
            "skipInstancesOnValidationError": True,
        }
        for group in (leaving[:2], leaving[2:])
    ]
    tokens = [request.query["requestId"][0] for request in requests]
    assert len({uuid.UUID(token) for token in tokens}) == 2
    assert operation.request == " ".join(tokens)
    assert set(operation.instances) == {each.id for each in leaving}
    told = gke.poll(operation)
    assert (told.state, told.told) == ("running", f"removal in {ZONES[0]} is RUNNING")
    server.compute.hurry()
    assert gke.poll(operation).told == "3 machines are leaving"
    hurry(server)
    assert ended(gke, operation).state == "done"
    assert (web(gke).target, web(gke).actual) == (3, 3)
    assert {each.id for each in gke.instances(web(gke))} == {each.id for each in machines} - set(operation.instances)
    assert server.asked(SIZE) == []


def test_a_removal_that_is_repeated_has_the_same_token(gke: Cloud, server: GkeServer) -> None:
    server.faults.set("broken", 1, REMOVE)
    gke.remove_instances(web(gke), gke.instances(web(gke))[:1])
    tokens = [request.query["requestId"] for request in server.asked(REMOVE)]
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]


def test_a_machine_that_was_not_ended_is_told(gke: Cloud, server: GkeServer) -> None:
    machines = gke.instances(web(gke))[:2]
    server.faults.refuse.add(machines[0].id)
    progress = ended(gke, gke.remove_instances(web(gke), machines))
    assert progress.state == "partial"
    assert [(trouble.what, trouble.code) for trouble in progress.troubles] == [(machines[0].id, "SKIPPED")]
    progress = ended(gke, gke.remove_instances(web(gke), machines[:1]))
    assert progress.state == "failed"


def test_where_no_group_takes_it_an_unknown_outcome_counts_more_than_a_refusal(gke: Cloud, server: GkeServer) -> None:
    machines = gke.instances(web(gke))
    server.faults.set("quota", 1, REMOVE)
    server.faults.set("cut_before", 1, REMOVE)
    with pytest.raises(AmbiguousError):
        gke.remove_instances(web(gke), [machines[0], machines[2]])


@pytest.mark.parametrize(("fault", "code"), [("cut_before", "ambiguous"), ("quota", "quotaExceeded")])
def test_what_one_group_refused_is_a_trouble_of_its_machines(
    gke: Cloud, server: GkeServer, fault: str, code: str
) -> None:
    machines = gke.instances(web(gke))
    server.faults.set(fault, 1, REMOVE)
    operation = gke.remove_instances(web(gke), [machines[0], machines[2]])
    assert [(trouble.what, trouble.code) for trouble in operation.troubles] == [(machines[0].id, code)]
    assert operation.instances == (machines[2].id,)
    assert ended(gke, operation).state == "done"


def test_a_machine_that_is_gone_already_is_no_error(gke: Cloud, server: GkeServer) -> None:
    gone = gke.instances(web(gke))[0].model_copy(update={"id": "gke-prod-web-gone"})
    operation = gke.remove_instances(web(gke), [gone])
    assert operation.instances == (gone.id,)
    assert server.asked(REMOVE) == []
    assert gke.poll(operation).state == "done"


# Without an operation


def lost(change: str, target: int | None = None, *instances: str, pool: str = "web") -> Operation:
    return Operation.model_validate(
        {"change": change, "pool": pool, "target": target, "instances": instances, "started": BEGIN}
    )


def test_a_size_whose_operation_is_not_known_is_read_off_the_pool(gke: Cloud, server: GkeServer) -> None:
    assert gke.poll(lost("set-size", 6)).state == "done"
    assert gke.poll(lost("set-size", 9)).state == "running"
    take_long(server)
    gke.set_size(web(gke), 9)
    assert gke.poll(lost("set-size", 9)).state == "running"
    hurry(server)
    assert ended(gke, lost("set-size", 9)).state == "done"
    server.fleet.seconds, server.faults.sold_out = 0.0, 1
    gke.set_size(web(gke), 12)
    assert ended(gke, lost("set-size", 12)).state == "partial"


def test_an_operation_that_google_has_forgotten_is_read_off_the_pool(gke: Cloud, server: GkeServer) -> None:
    operation = gke.set_size(web(gke), 9)
    assert ended(gke, operation).state == "done"
    server.works.clear()
    assert gke.poll(operation).state == "done"
    assert server.asked(OPERATION)


def test_other_changes_without_an_operation(gke: Cloud, server: GkeServer) -> None:
    machine = gke.instances(web(gke))[0].id
    assert gke.poll(lost("set-autoscaling")).state == "done"
    assert gke.poll(lost("create", 3, pool="new")).state == "running"
    assert gke.poll(lost("set-size", 3, pool="new")).state == "failed"
    assert gke.poll(lost("delete", 0, pool="new")).state == "done"
    assert gke.poll(lost("delete", 0)).state == "running"
    assert gke.poll(lost("remove-instances", None, machine)).state == "running"
    assert gke.poll(lost("remove-instances", None, "gone")).state == "done"
    server.fleet.pools["web"].state = "failed"
    assert gke.poll(lost("create", 6)).state == "failed"


def test_masters_are_googles(gke: Cloud) -> None:
    for ask in (gke.masters, lambda: gke.add_masters(["m"]), lambda: gke.remove_masters([])):
        with pytest.raises(NotOfferedError):
            ask()
    assert gke.offers == {"autoscaler", "create", "delete", "remove-instances"}


# What no server here shows


def test_sold_out_told_in_the_answer_is_sold_out() -> None:
    told = errors.translate(google.ServiceUnavailable("ZONE_RESOURCE_POOL_EXHAUSTED: none left in the zone"))  # type: ignore[no-untyped-call]
    assert type(told) is SoldOutError
    assert errors.translate(KeyError("ours")) is None
    assert type(errors.translate(google.PermissionDenied("requires a quota project"))) is CredentialsError  # type: ignore[no-untyped-call]


def test_what_is_not_googles_machine_is_left_to_its_group(server: GkeServer) -> None:
    server.fleet.pools["web"].machines.append(Machine("i-1", "i-1", "elsewhere"))
    assert "i-1" not in {each.id for each in driver(server).instances(web(driver(server)))}
