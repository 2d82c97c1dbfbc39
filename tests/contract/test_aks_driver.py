from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
import trustme
from azure.core.exceptions import ServiceRequestError
from requests.exceptions import SSLError as SslError

from scaler.drivers.cloud import Cloud, Doors, of
from scaler.drivers.cloud_aks_api import translate
from scaler.drivers.cloud_calls import ATTEMPTS, Calls
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    InputError,
    NotOfferedError,
    QuotaError,
    ScalerError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)
from scaler.gateways.clock import SystemClock, wait_until
from scaler.model.clouds import MANAGED
from scaler.model.pools import Autoscaling, PoolSpec
from tests.fakes.clock import FakeClock
from tests.servers.aks import CLUSTER, LABEL, NODE_GROUP, QUOTA, AksServer, resource_id
from tests.servers.tls import authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scaler.model.pools import Operation, Pool, Progress
    from tests.servers.base import Request

pytestmark = pytest.mark.cloud

PUT, DELETE, REMOVE = "AgentPools_CreateOrUpdate", "AgentPools_Delete", "AgentPools_DeleteMachines"
WRITES = {
    "set_size": PUT,
    "set_autoscaling": PUT,
    "create_like": PUT,
    "delete": DELETE,
    "remove_instances": REMOVE,
}


class SomeNodes:
    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.labels: dict[str, str] = {}

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
        self.there[name] = provider_id
        self.labels = labels

    def remove(self, name: str) -> None:
        self.there.pop(name, None)


NODES = SomeNodes()


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AksServer]:
    server = AksServer(NODES)
    server.fleet.seconds = 0.02
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment(tmp_path_factory.mktemp("aks")).items():
            patch.setenv(name, value)
        yield server
    server.close()


@pytest.fixture
def server(listening: AksServer) -> AksServer:
    listening.reset()
    NODES.there.clear()
    return listening


@pytest.fixture(scope="module")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def aks(listening: AksServer, clock: FakeClock) -> Cloud:
    """Return one driver for all, as it keeps nothing but its connection and token."""
    return driver(listening, clock)


def driver(server: AksServer, clock: FakeClock, **settings: str) -> Cloud:
    cluster = MANAGED.validate_python(
        {"cluster_name": "shop", "admin_kubeconfig": "kubeconfig", **server.variables(), **settings}
    )
    return of("aks")(Doors(cluster, clock, os.environ, lambda translate: Calls(clock, translate)))


def the(cloud: Cloud, name: str = "web") -> Pool:
    pool = cloud.pool(name)
    assert pool
    return pool


def ended(cloud: Cloud, operation: Operation) -> Progress:
    last: list[Progress] = []

    def over() -> bool:
        last[:] = [cloud.poll(operation)]
        return last[0].state != "running"

    assert wait_until(SystemClock(), over, timeout=5, every=0.01)
    return last[0]


def written(server: AksServer, action: str = PUT) -> Request:
    return server.asked(action)[-1]


def ask(cloud: Cloud, verb: str) -> Operation:
    pool = the(cloud)
    asks: dict[str, Callable[[], Operation]] = {
        "set_size": lambda: cloud.set_size(pool, 5),
        "set_autoscaling": lambda: cloud.set_autoscaling(pool, Autoscaling(on=True, min=1, max=9)),
        "create_like": lambda: cloud.create_like(pool, PoolSpec(name="web2", size=2)),
        "delete": lambda: cloud.delete(pool),
        "remove_instances": lambda: cloud.remove_instances(pool, cloud.instances(pool)[:1]),
    }
    return asks[verb]()


@contextmanager
def taking(server: AksServer, seconds: float) -> Iterator[None]:
    """Let what begins take so long."""
    usual, server.fleet.seconds = server.fleet.seconds, seconds
    yield
    server.fleet.seconds = usual


@contextmanager
def hanging_up(server: AksServer, last: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Listen as ``server`` does, and hang up when ``last`` has come, with no reset and no goodbye of TLS."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with server.tls.wrap_socket(connection, server_side=True) as secure:
                data = b""
                while last not in data:
                    data += secure.recv(65536)
                asked.append(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}", asked
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


every_write = pytest.mark.parametrize("verb", WRITES)


# What it reads


def test_a_pool_is_told_with_its_size_zones_label_and_etag(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    pool = the(aks)
    assert (pool.id, pool.name, pool.target, pool.actual) == ("web", "web", 3, 3)
    assert (pool.state, pool.told, pool.zones, pool.per_zone) == ("ready", "Succeeded", ("1", "2", "3"), False)
    assert (pool.machine, pool.label, pool.value) == ("Standard_D4lds_v5", LABEL, "web")
    assert pool.etag
    assert (pool.min, pool.max, pool.autoscaled) == (None, None, False)


def test_bounds_are_those_of_the_autoscaler(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3, enableAutoScaling=True, minCount=2, maxCount=7)
    pool = the(aks)
    assert (pool.min, pool.max, pool.autoscaled) == (2, 7, True)


def test_a_pool_that_is_not_there_is_none(server: AksServer, aks: Cloud) -> None:
    server.put("web", 1)
    pool = the(aks)
    server.fleet.pools.clear()
    assert aks.pool("web") is None
    assert aks.instances(pool) == ()


def test_a_cluster_that_is_not_there_is_an_error(server: AksServer, clock: FakeClock) -> None:
    lost = driver(server, clock, cluster_id="lost")
    with pytest.raises(CloudError, match="ParentResourceNotFound") as e:
        lost.pool("web")
    assert e.value.request
    with pytest.raises(CloudError, match="ParentResourceNotFound"):
        lost.pools()


def test_all_pages_of_pools_are_read(server: AksServer, aks: Cloud) -> None:
    server.page = 2
    for number in range(5):
        server.put(f"p{number}", number)
    assert {pool.name: pool.actual for pool in aks.pools()} == {f"p{number}": number for number in range(5)}


def test_all_pages_of_over_300_machines_are_read(server: AksServer, aks: Cloud) -> None:
    server.put("web", 301)
    pool = the(aks)
    assert pool.actual == 301
    server.forget()
    machines = aks.instances(pool)
    assert len({each.id for each in machines}) == 301
    assert [each.query.get("$skipToken") for each in server.asked("Machines_List")] == [
        None,
        ["1"],
        ["2"],
        ["3"],
    ]


def test_a_page_that_fails_is_asked_for_again_and_no_other(server: AksServer, aks: Cloud) -> None:
    server.put("web", 250)
    pool = the(aks)
    server.forget()
    server.faults.set("throttle", 2, "Machines_List")
    assert len(aks.instances(pool)) == 250
    assert len(server.asked("Machines_List")) == 5


def test_a_machine_is_its_node_by_the_providers_id(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2)
    for machine in aks.instances(the(aks)):
        theirs = NODES.there[machine.node]
        assert NODE_GROUP in machine.provider_id
        assert NODE_GROUP not in theirs
        assert machine.is_node("other-name", theirs)
        assert not machine.is_node(machine.node, theirs + "1")
        assert machine.id == machine.node
    assert NODES.labels == {LABEL: "web"}


def test_a_failed_pool_is_degraded_with_the_reason(server: AksServer, aks: Cloud) -> None:
    pool = server.put("web", 2, status={"provisioningError": {"code": "SubnetIsFull", "message": "no address"}})
    pool.state = "Failed"
    told = the(aks)
    assert (told.state, told.told) == ("degraded", "Failed")
    assert [each.sentence for each in told.troubles] == ["no address (SubnetIsFull)"]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("Scaling", "changing"),
        ("UpgradingNodeImageVersion", "changing"),
        ("Creating", "changing"),
        ("Deleting", "deleting"),
        ("Canceled", "degraded"),
    ],
)
def test_what_aks_is_doing_is_a_state(server: AksServer, aks: Cloud, told: str, state: str) -> None:
    server.put("web", 1).state = told
    pool = the(aks)
    assert (pool.state, pool.told) == (state, told)


def test_a_stopped_pool_says_so(server: AksServer, aks: Cloud) -> None:
    server.put("web", 0, powerState={"code": "Stopped"})
    pool = the(aks)
    assert (pool.state, pool.told) == ("degraded", "Stopped")
    assert "start it first" in pool.troubles[0].message


def test_a_pool_of_virtual_machines_has_the_size_of_its_profile(server: AksServer, aks: Cloud) -> None:
    profile = {"scale": {"manual": [{"size": "Standard_D2s_v5", "count": 2}]}}
    server.put("web", 2, type="VirtualMachines", availabilityZones=None, virtualMachinesProfile=profile)
    assert the(aks).target == 2
    aks.set_size(the(aks), 4)
    told = written(server).json["properties"]
    assert told["virtualMachinesProfile"] == {"scale": {"manual": [{"size": "Standard_D2s_v5", "count": 4}]}}
    assert "count" not in told
    assert told["mode"] == "User"


def test_a_pool_of_several_machine_types_has_no_size_to_set(server: AksServer, aks: Cloud) -> None:
    groups = [{"size": "Standard_D2s_v5", "count": 1}, {"size": "Standard_D4s_v5", "count": 2}]
    server.put("web", 3, type="VirtualMachines", virtualMachinesProfile={"scale": {"manual": groups}})
    pool = the(aks)
    assert pool.target == 3
    with pytest.raises(NotOfferedError, match="2 machine types"):
        aks.set_size(pool, 4)
    with pytest.raises(NotOfferedError):
        aks.set_autoscaling(pool, Autoscaling(on=True, min=1, max=2))
    assert not server.asked(PUT)


# What it writes


def test_a_size_is_the_whole_pool_written_back_with_another_count_and_its_etag(server: AksServer, aks: Cloud) -> None:
    fake = server.put("web", 3)
    pool, before = the(aks), server.written(fake)
    operation = aks.set_size(pool, 5)
    request = written(server)
    assert request.headers["if-match"].strip('"') == pool.etag
    assert request.json == {"properties": {**before, "count": 5}}
    assert request.query == {"api-version": ["2026-08-01"]}
    assert (operation.change, operation.pool, operation.target) == ("set-size", "web", 5)
    assert operation.id
    assert operation.request
    assert ended(aks, operation).state == "done"
    assert (the(aks).target, the(aks).actual, len(NODES.there)) == (5, 5, 5)


def test_what_is_read_only_or_rolls_nodes_back_is_not_written(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3, status={"provisioningError": {"code": "old", "message": "old"}})
    aks.set_size(the(aks), 2)
    names = set(written(server).json["properties"])
    told = {"eTag", "provisioningState", "currentOrchestratorVersion", "nodeImageVersion", "status"}
    assert not names & told


def test_a_smaller_size_takes_machines_away(server: AksServer, aks: Cloud) -> None:
    server.put("web", 4)
    assert ended(aks, aks.set_size(the(aks), 1)).state == "done"
    assert the(aks).actual == 1


def test_a_pool_that_changed_since_it_was_read_is_not_written_over(server: AksServer, aks: Cloud) -> None:
    fake = server.put("web", 3)
    pool = the(aks)
    fake.version += 1
    with pytest.raises(ConflictError, match="PreconditionFailed"):
        aks.set_size(pool, 5)
    assert fake.target == 3


def test_a_stale_etag_is_a_conflict_whatever_the_status(server: AksServer, aks: Cloud) -> None:
    fake = server.put("web", 3)
    pool = the(aks)
    fake.version += 1
    server.stale = (409, "EtagMismatch")
    with pytest.raises(ConflictError) as e:
        aks.set_size(pool, 5)
    assert e.value.code == "EtagMismatch"


def test_bounds_and_autoscaler_are_written_and_the_size_is_not_touched(server: AksServer, aks: Cloud) -> None:
    fake = server.put("web", 3)
    pool, before = the(aks), server.written(fake)
    operation = aks.set_autoscaling(pool, Autoscaling(on=True, min=2, max=8))
    wanted = {**before, "enableAutoScaling": True, "minCount": 2, "maxCount": 8}
    assert written(server).json == {"properties": wanted}
    assert written(server).headers["if-match"].strip('"') == pool.etag
    assert ended(aks, operation).state == "done"
    told = the(aks)
    assert (told.min, told.max, told.autoscaled, told.target) == (2, 8, True, 3)


def test_bounds_go_with_the_autoscaler(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3, enableAutoScaling=True, minCount=2, maxCount=8)
    assert ended(aks, aks.set_autoscaling(the(aks), Autoscaling(on=False, min=2, max=8))).state == "done"
    assert not {"minCount", "maxCount"} & set(written(server).json["properties"])
    assert (the(aks).min, the(aks).autoscaled) == (None, False)


def test_a_size_that_aks_refuses_while_its_autoscaler_is_on_is_its_own_word(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3, enableAutoScaling=True, minCount=2, maxCount=8)
    server.sizes_autoscaled = False
    with pytest.raises(CloudError, match="autoscaler is enabled") as e:
        aks.set_size(the(aks), 4)
    assert (e.value.kind, e.value.code) == ("cloud", "BadRequest")


def test_a_pool_is_made_like_another_one(server: AksServer, aks: Cloud) -> None:
    fake = server.put("web", 3)
    operation = aks.create_like(the(aks), PoolSpec(name="web2", size=2))
    request = written(server)
    wanted = {**server.written(fake), "count": 2}
    del wanted["powerState"]
    assert request.path.endswith("/agentPools/web2")
    assert request.json == {"properties": wanted}
    assert request.headers["if-none-match"] == "*"
    assert "if-match" not in request.headers
    assert ended(aks, operation).state == "done"
    made = the(aks, "web2")
    assert (made.target, made.actual, operation.pool) == (2, 2, made.id)


def test_a_pool_is_made_with_bounds_of_its_own(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    aks.create_like(the(aks), PoolSpec(name="web2", size=2, autoscaling=Autoscaling(on=True, min=1, max=4)))
    told = written(server).json["properties"]
    assert (told["count"], told["enableAutoScaling"], told["minCount"], told["maxCount"]) == (2, True, 1, 4)


def test_a_pool_that_is_there_is_never_made_again(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    other = server.put("web2", 1)
    with pytest.raises(ConflictError):
        aks.create_like(the(aks), PoolSpec(name="web2", size=2))
    assert other.target == 1


def test_aks_tells_what_is_no_name(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    with pytest.raises(CloudError, match="InvalidParameter"):
        aks.create_like(the(aks), PoolSpec(name="Not-a-name", size=2))


def test_a_pool_is_deleted_with_its_machines(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    pool = the(aks)
    operation = aks.delete(pool)
    assert written(server, DELETE).headers["if-match"].strip('"') == pool.etag
    assert ended(aks, operation).state == "done"
    assert aks.pool("web") is None
    assert not NODES.there


def test_machines_of_a_pool_that_is_being_deleted_leave(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2).state = "Deleting"
    assert {each.state for each in aks.instances(the(aks))} == {"leaving"}


def test_a_pool_that_is_gone_or_going_is_deleted_already(server: AksServer, aks: Cloud) -> None:
    server.put("web", 1)
    pool = the(aks)
    first = aks.delete(pool)
    going = pool.model_copy(update={"state": "deleting"})
    again = aks.delete(going)
    assert len(server.asked(DELETE)) == 1
    assert (ended(aks, first).state, ended(aks, again).state) == ("done", "done")
    gone = aks.delete(pool)
    assert gone.id == ""
    assert ended(aks, gone).state == "done"


def test_given_machines_go_by_one_request_and_the_size_with_them(server: AksServer, aks: Cloud) -> None:
    server.put("web", 4)
    pool = the(aks)
    going = aks.instances(pool)[1:3]
    operation = aks.remove_instances(pool, going)
    assert written(server, REMOVE).json == {"machineNames": [each.id for each in going]}
    assert len(server.asked(REMOVE)) == 1
    assert operation.instances == tuple(each.id for each in going)
    assert ended(aks, operation).state == "done"
    left = the(aks)
    assert (left.target, left.actual) == (2, 2)
    assert not {each.id for each in aks.instances(left)} & set(operation.instances)


def test_machines_that_aks_does_not_end_are_told_one_by_one(server: AksServer, aks: Cloud) -> None:
    server.put("web", 4)
    pool = the(aks)
    machines = aks.instances(pool)
    server.faults.refuse = {machines[1].id}
    progress = ended(aks, aks.remove_instances(pool, machines[:3]))
    assert progress.state == "partial"
    assert [(each.what, each.code) for each in progress.troubles] == [(machines[1].id, "CannotDeleteMachine")]
    assert the(aks).actual == 2


def test_masters_are_not_offered(aks: Cloud) -> None:
    with pytest.raises(NotOfferedError):
        aks.masters()
    with pytest.raises(NotOfferedError):
        aks.add_masters(["x"])
    with pytest.raises(NotOfferedError):
        aks.remove_masters([])
    assert aks.offers == {"autoscaler", "create", "delete", "remove-instances"}


# What comes of it


def test_an_operation_runs_until_aks_says_that_it_is_over(server: AksServer, aks: Cloud) -> None:
    server.put("web", 1)
    with taking(server, 60):
        operation = aks.set_size(the(aks), 2)
    assert aks.poll(operation).state == "running"
    assert the(aks).state == "changing"
    with pytest.raises(ConflictError, match="in progress"):
        aks.set_size(the(aks), 3)


def test_an_operation_is_asked_by_another_process(server: AksServer, aks: Cloud, clock: FakeClock) -> None:
    server.put("web", 1)
    operation = aks.set_size(the(aks), 2)
    journal = operation.model_dump_json(exclude_defaults=True)
    again = type(operation).model_validate_json(journal)
    assert ended(driver(server, clock), again).state == "done"
    asked = server.asked("Operations_Get")[-1]
    assert asked.path.endswith(operation.id)
    assert asked.query["api-version"] == ["2016-03-30"]


def test_a_part_of_a_size_is_told_with_the_reason(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2)
    server.faults.sold_out = 3
    progress = ended(aks, aks.set_size(the(aks), 10))
    assert (progress.state, progress.cause, progress.told) == ("partial", "sold-out", "7 of 10 machines are there")
    assert progress.troubles[0].code == "ReconcileVMSSAgentPoolFailed"
    assert "AllocationFailed" in progress.troubles[0].message
    pool = the(aks)
    assert (pool.target, pool.actual, pool.state) == (10, 7, "degraded")
    assert ended(aks, aks.set_size(pool, 7)).state == "done"
    assert (the(aks).state, the(aks).troubles) == ("ready", ())


def test_a_size_of_which_nothing_came_has_failed(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2)
    server.faults.sold_out = 3
    server.failure = QUOTA
    progress = ended(aks, aks.set_size(the(aks), 5))
    assert (progress.state, progress.cause) == ("failed", "quota")


def test_a_reason_may_stand_in_the_details(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2)
    server.faults.sold_out = 1
    server.failure = ("CreateVMSSAgentPoolFailed", "We are unable to serve this request.")
    server.details = [{"code": "OverconstrainedZonalAllocationRequest", "message": "zone 2 is full", "target": "2"}]
    progress = ended(aks, aks.set_size(the(aks), 4))
    assert (progress.state, progress.cause) == ("partial", "sold-out")
    assert progress.troubles[1].sentence == "2: zone 2 is full (OverconstrainedZonalAllocationRequest)"
    assert the(aks).troubles == progress.troubles


def test_a_pool_of_which_nothing_came_has_failed(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2)
    server.faults.sold_out = 2
    progress = ended(aks, aks.create_like(the(aks), PoolSpec(name="web2", size=2)))
    assert (progress.state, progress.cause) == ("failed", "sold-out")


@pytest.mark.parametrize("verb", WRITES)
def test_an_operation_that_aks_has_forgotten_is_read_off_the_pool(server: AksServer, aks: Cloud, verb: str) -> None:
    server.put("web", 3)
    operation = ask(aks, verb)
    ended(aks, operation)
    server.forget_operations()
    assert ended(aks, operation).state == "done"


@pytest.mark.parametrize("verb", WRITES)
def test_an_operation_whose_answer_was_lost_is_read_off_the_pool(server: AksServer, aks: Cloud, verb: str) -> None:
    server.put("web", 3)
    operation = ask(aks, verb).model_copy(update={"id": "", "more": {}})
    assert ended(aks, operation).state == "done"


def test_a_pool_at_rest_that_is_short_of_machines_is_the_end_of_a_lost_operation(server: AksServer, aks: Cloud) -> None:
    server.put("web", 2)
    server.faults.sold_out = 1
    operation = aks.set_size(the(aks), 4)
    ended(aks, operation)
    progress = ended(aks, operation.model_copy(update={"id": "", "more": {}}))
    assert (progress.state, progress.cause) == ("partial", "sold-out")
    assert progress.troubles


def test_a_lost_removal_that_left_machines_has_failed_for_them(server: AksServer, aks: Cloud) -> None:
    server.put("web", 4)
    machines = aks.instances(the(aks))
    server.faults.refuse = {machines[0].id}
    operation = aks.remove_instances(the(aks), machines[:2])
    ended(aks, operation)
    progress = ended(aks, operation.model_copy(update={"id": "", "more": {}}))
    assert progress.state == "partial"
    assert [each.what for each in progress.troubles] == [machines[0].id]


# What goes wrong


@every_write
def test_a_write_that_is_throttled_is_repeated(server: AksServer, aks: Cloud, clock: FakeClock, verb: str) -> None:
    server.put("web", 3)
    server.faults.set("throttle", 2)
    before = clock.monotonic()
    ask(aks, verb)
    assert len(server.asked(WRITES[verb])) == 3
    assert clock.monotonic() - before == 3


@every_write
def test_a_write_that_stays_throttled_ends(server: AksServer, aks: Cloud, verb: str) -> None:
    server.put("web", 3)
    server.faults.set("throttle", 99)
    with pytest.raises(ThrottledError, match="TooManyRequests, request ") as e:
        ask(aks, verb)
    assert e.value.request
    assert len(server.asked(WRITES[verb])) == ATTEMPTS


@every_write
def test_a_write_in_conflict_is_told_and_sent_once(server: AksServer, aks: Cloud, verb: str) -> None:
    server.put("web", 3)
    server.faults.set("conflict")
    with pytest.raises(ConflictError, match="in progress") as e:
        ask(aks, verb)
    assert e.value.code == "OperationNotAllowed"
    assert e.value.request
    assert len(server.asked(WRITES[verb])) == 1


@pytest.mark.parametrize("verb", ["set_size", "create_like"])
def test_a_quota_is_told(server: AksServer, aks: Cloud, verb: str) -> None:
    server.put("web", 3)
    server.faults.set("quota")
    with pytest.raises(QuotaError) as e:
        ask(aks, verb)
    assert e.value.code == "ErrCode_InsufficientVCPUQuota"
    assert e.value.request


def test_a_machine_type_that_is_not_to_be_had_is_sold_out(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    server.limit = ("SkuNotAvailable", "The requested VM size is not available in location westus2.")
    server.faults.set("quota")
    with pytest.raises(SoldOutError) as e:
        aks.set_size(the(aks), 4)
    assert e.value.code == "SkuNotAvailable"


@pytest.mark.parametrize("verb", ["set_size", "set_autoscaling", "create_like", "delete"])
def test_an_absolute_write_is_repeated_behind_a_server_error(server: AksServer, aks: Cloud, verb: str) -> None:
    server.put("web", 3)
    server.faults.set("broken")
    ask(aks, verb)
    assert len(server.asked(WRITES[verb])) == 2


def test_a_removal_is_not_repeated_behind_a_server_error(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    server.faults.set("broken")
    with pytest.raises(AmbiguousError, match="InternalServerError"):
        ask(aks, "remove_instances")
    assert len(server.asked(REMOVE)) == 1


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        (verb, fault)
        for verb in WRITES
        for fault in ("cut", "cut_before")
        if (verb, fault) != ("remove_instances", "cut")
    ],
)
def test_a_write_whose_answer_is_lost_is_ambiguous_and_sent_once(
    server: AksServer, aks: Cloud, verb: str, fault: str
) -> None:
    server.put("web", 3)
    server.faults.set(fault)
    with pytest.raises(AmbiguousError):
        ask(aks, verb)
    assert len(server.asked(WRITES[verb])) == 1


def test_a_removal_whose_answer_is_lost_is_what_aks_is_at_work_with(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    server.faults.set("cut")
    with taking(server, 1):
        operation = ask(aks, "remove_instances")
    assert (operation.id, len(operation.instances)) == ("", 1)
    assert ended(aks, operation).state == "done"
    assert len(server.asked(REMOVE)) == 1
    assert (the(aks).target, the(aks).actual) == (2, 2)


def test_a_connection_that_ends_without_a_word_is_ambiguous_too(server: AksServer, clock: FakeClock) -> None:
    server.put("web", 3)
    cloud = driver(server, clock)
    pool = the(cloud)
    with hanging_up(server, b"\r\n\r\n") as (url, asked):
        cloud._client._config.base_url = url  # type: ignore[attr-defined]
        with pytest.raises(AmbiguousError):
            cloud.delete(pool)
    assert [each.split()[0] for each in asked] == [b"DELETE"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (SslError("EOF occurred in violation of protocol"), AmbiguousError),
        (SslError("[SSL: CERTIFICATE_VERIFY_FAILED]"), UnreachableError),
        (ConnectionRefusedError("refused"), UnreachableError),
    ],
)
def test_what_breaks_within_tls_may_have_been_sent(broken: Exception, told: type[ScalerError]) -> None:
    assert type(translate(ServiceRequestError(str(broken), error=broken))) is told


def test_an_answer_that_is_no_json_leaves_open_what_was_done() -> None:
    assert type(translate(json.JSONDecodeError("x", "", 0))) is AmbiguousError


def test_a_defect_of_ours_is_not_the_clouds() -> None:
    assert translate(KeyError("x")) is None


def test_an_answer_of_a_gateways_is_a_server_error(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    pool = the(aks)
    machines = aks.instances(pool)
    server.gateway = True
    server.faults.set("broken", 2)
    assert ended(aks, aks.set_size(pool, 4)).state == "done"
    server.faults.set("broken", ATTEMPTS)
    with pytest.raises(AmbiguousError, match="502"):
        aks.remove_instances(pool, machines[:1])


def test_a_read_is_repeated_whatever_broke(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    for fault in ("cut", "broken", "throttle"):
        server.faults.set(fault, 1, "AgentPools_Get")
    assert the(aks).target == 3


def test_a_poll_that_breaks_is_repeated(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    operation = aks.set_size(the(aks), 4)
    server.faults.set("broken", 2, "Operations_Get")
    assert ended(aks, operation).state == "done"


def test_the_sdk_repeats_nothing_by_itself(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    for fault in ("throttle", "broken", "cut"):
        server.forget()
        server.faults.set(fault, ATTEMPTS, "AgentPools_Get")
        with pytest.raises(CloudError):
            aks.pool("web")
        assert len(server.asked("AgentPools_Get")) == ATTEMPTS


def test_a_caller_who_may_not_is_told_so(server: AksServer, aks: Cloud) -> None:
    server.put("web", 3)
    server.allowed = False
    with pytest.raises(CredentialsError, match="AuthorizationFailed, request ") as e:
        aks.pools()
    assert "DefaultAzureCredential" in e.value.hint
    assert len(server.asked("AgentPools_List")) == 1


def test_a_wrong_secret_is_told(server: AksServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    with pytest.raises(CredentialsError, match="AADSTS7000215"):
        driver(server, clock).pools()


def test_no_credentials_are_told_in_one_line(
    server: AksServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    with pytest.raises(CredentialsError) as e:
        driver(server, clock).pools()
    assert "\n" not in e.value.message
    assert "AZURE_CLIENT_ID" in e.value.hint
    assert not server.asked("AgentPools_List")


def test_a_cloud_that_does_not_listen_is_unreachable(server: AksServer, clock: FakeClock) -> None:
    unheard = driver(server, clock)
    unheard.pools()
    unheard._client._config.base_url = "https://127.0.0.1:1"  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError):
        unheard.pools()


def test_a_certificate_that_is_not_trusted_is_unreachable(server: AksServer, clock: FakeClock) -> None:
    unsure, other = driver(server, clock), AksServer(NODES)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(other.tls)
    unsure.pools()
    try:
        unsure._client._config.base_url = other.url  # type: ignore[attr-defined]
        with pytest.raises(UnreachableError, match="CERTIFICATE"):
            unsure.pools()
    finally:
        other.close()


def test_a_driver_of_another_kind_is_refused(server: AksServer, clock: FakeClock) -> None:
    settings: dict[str, Any] = {"cluster_name": "x", "admin_kubeconfig": "k", "region": "r", "cluster_id": CLUSTER}
    cluster = MANAGED.validate_python({**settings, "kind": "tke"})
    with pytest.raises(InputError):
        of("aks")(Doors(cluster, clock, os.environ, lambda translate: Calls(clock, translate)))
    assert not server.record


# The server refuses what the real one does


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"eTag": "x"}, "UnmarshalError"),
        ({"provisioningState": "Succeeded"}, "UnmarshalError"),
        ({"nodeCount": 3}, "UnmarshalError"),
        ({"count": "3"}, "UnmarshalError"),
        ({"mode": "Worker"}, "UnmarshalError"),
        ({"count": 1001}, "InvalidParameter"),
        ({"count": 0, "mode": "System"}, "InvalidParameter"),
        ({"minCount": 1, "maxCount": 2}, "InvalidParameter"),
        ({"enableAutoScaling": True}, "InvalidParameter"),
        ({"enableAutoScaling": True, "minCount": 1, "maxCount": 9, "count": 5}, "BadRequest"),
    ],
)
def test_the_server_refuses_bodies_as_aks_does(
    server: AksServer, aks: Cloud, wanted: dict[str, Any], code: str
) -> None:
    server.put("web", 3)
    client: Any = aks._client  # type: ignore[attr-defined]
    body = {"properties": {"vmSize": "Standard_D4lds_v5", "count": 3, **wanted}}
    with pytest.raises(Exception, match=code):
        client.agent_pools.begin_create_or_update("rg", CLUSTER, "web", json.dumps(body).encode(), polling=False)


def test_the_server_wants_its_version_and_a_token(server: AksServer, aks: Cloud) -> None:
    pool = server.put("web", 1)
    path = f"/subscriptions/{server.variables()['subscription']}/resourceGroups/rg/providers"
    url = f"{server.url}{path}/Microsoft.ContainerService/managedClusters/{CLUSTER}/agentPools/{pool.name}"
    the(aks)
    token = server.asked("AgentPools_Get")[-1].headers["authorization"]
    trusting = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
    with httpx.Client(verify=trusting, trust_env=False) as http:
        assert http.get(f"{url}?api-version=2026-08-01").status_code == 401
        assert http.get(f"{url}?api-version=2020-01-01", headers={"Authorization": token}).status_code == 400
        assert http.get(f"{url}?api-version=2026-08-01", headers={"Authorization": token}).status_code == 200
    assert resource_id(pool.machines[0]).endswith(f"/virtualMachines/{int(pool.machines[0].id[-6:], 16)}")
