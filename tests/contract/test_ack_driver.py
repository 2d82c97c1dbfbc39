"""ACK's driver against its server: the vendor's SDK and signatures over a real socket of loopback."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from alibabacloud_credentials.utils import auth_util
from alibabacloud_cs20151215 import models
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException

from scaler.drivers import cloud
from scaler.drivers.cloud import Doors
from scaler.drivers.cloud_ack_errors import family
from scaler.drivers.cloud_calls import ATTEMPTS, Calls
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    NotOfferedError,
    QuotaError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)
from scaler.gateways.clock import SystemClock, wait_until
from scaler.model.clouds import Ack as Settings
from scaler.model.pools import Autoscaling, Instance, Operation, PoolSpec
from tests.servers.ack import CLUSTER, REGION, AckServer
from tests.servers.tls import server_tls, trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scaler.drivers.cloud import Cloud
    from scaler.model.pools import Pool, Progress
    from tests.servers.base import FakePool, Request

pytestmark = pytest.mark.cloud

WRITES = ("ModifyClusterNodePool", "ScaleClusterNodePool", "CreateClusterNodePool", "DeleteClusterNodepool")
CLOCK = SystemClock()


class NoNodes:
    """No API server: machines become Nodes nowhere."""

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
        """Do nothing."""

    def remove(self, name: str) -> None:
        """Do nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[AckServer]:
    # One for all tests: the SDK reads every certificate of the machine for each new port that it talks to.
    made = AckServer(NoNodes())
    yield made
    made.close()


@pytest.fixture
def server(service: AckServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AckServer:
    service.forget()
    service.fleet.pools.clear()
    service.fleet.seconds = 0.02
    for name, value in service.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "http_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return service


@pytest.fixture
def web(server: AckServer) -> FakePool:
    return server.add_pool("web", 2)


@pytest.fixture
def ack(server: AckServer) -> Cloud:
    del server
    return driver()


def driver() -> Cloud:
    # The vendor's chain reads the environment when it is imported: as often as a process of its own begins.
    importlib.reload(auth_util)
    settings = Settings.model_validate(
        {"kind": "ack", "cluster_name": "shop", "region": REGION, "cluster_id": CLUSTER, "admin_kubeconfig": "/none"}
    )
    return cloud.of("ack")(
        Doors(
            cluster=settings,
            clock=CLOCK,
            environment=os.environ,
            make_calls=lambda translate: Calls(CLOCK, translate, pause=0.01),
        )
    )


def read(ack: Cloud, fake: FakePool) -> Pool:
    pool = ack.pool(fake.id)
    assert pool is not None
    return pool


def ended(ack: Cloud, operation: Operation) -> Progress:
    told: list[Progress] = []

    def over() -> bool:
        told[:] = [ack.poll(operation)]
        return told[0].state != "running"

    assert wait_until(CLOCK, over, timeout=5, every=0.01)
    return told[0]


def hold(server: AckServer) -> None:
    """Let what begins now go on until it is let go."""
    server.fleet.seconds = 3600


def let_go(server: AckServer) -> None:
    server.fleet.seconds = 0
    for pool in server.fleet.pools.values():
        for machine in pool.machines:
            machine.due = 0


def only(server: AckServer, action: str) -> Request:
    (request,) = server.asked(action)
    return request


def test_a_pool_is_told_with_its_size_and_its_label(ack: Cloud, server: AckServer, web: FakePool) -> None:
    server.add_pool("batch", 0)
    pools = {pool.name: pool for pool in ack.pools()}
    assert sorted(pools) == ["batch", "web"]
    assert pools["web"] == ack.pool(web.id)
    pool = pools["web"]
    assert (pool.target, pool.actual, pool.state, pool.told) == (2, 2, "ready", "active")
    assert (pool.label, pool.value, pool.machine) == ("alibabacloud.com/nodepool-id", web.id, "ecs.g7.xlarge")
    assert (pool.autoscaled, pool.min, pool.max) == (False, None, None)


def test_a_pool_that_is_not_there_is_none_and_its_instances_are_none(ack: Cloud, web: FakePool) -> None:
    pool = read(ack, web)
    assert ack.pool("np-none") is None
    assert ack.instances(pool.model_copy(update={"id": "np-none"})) == ()


def test_another_thing_that_is_not_there_is_an_error(server: AckServer) -> None:
    del server
    other = Settings.model_validate(
        {"kind": "ack", "cluster_name": "shop", "region": REGION, "cluster_id": "c0", "admin_kubeconfig": "/none"}
    )
    doors = Doors(other, CLOCK, os.environ, lambda translate: Calls(CLOCK, translate, pause=0.01))
    with pytest.raises(CloudError):
        cloud.of("ack")(doors).pool("np1")


def test_a_size_is_one_absolute_number_and_nothing_else(ack: Cloud, server: AckServer, web: FakePool) -> None:
    hold(server)
    operation = ack.set_size(read(ack, web), 5)
    assert (operation.change, operation.target, operation.pool) == ("set-size", 5, web.id)
    assert operation.id
    assert operation.request
    assert ack.poll(operation).state == "running"
    assert read(ack, web).state == "changing"
    let_go(server)
    assert ended(ack, operation).state == "done"
    assert only(server, "ModifyClusterNodePool").body == b'{"scaling_group":{"desired_size":5}}'
    pool = read(ack, web)
    assert (pool.target, pool.actual, pool.state) == (5, 5, "ready")
    assert {each.state for each in ack.instances(pool)} == {"running"}


def test_a_smaller_size_is_an_absolute_number_too(ack: Cloud, server: AckServer, web: FakePool) -> None:
    assert ended(ack, ack.set_size(read(ack, web), 0)).state == "done"
    assert only(server, "ModifyClusterNodePool").json == {"scaling_group": {"desired_size": 0}}
    assert read(ack, web).actual == 0


def test_the_request_models_of_the_sdk_would_send_empty_lists_which_the_server_refuses(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    group = models.ModifyClusterNodePoolRequestScalingGroup(desired_size=5)
    request = models.ModifyClusterNodePoolRequest(scaling_group=group)
    inside: Any = ack
    with pytest.raises(Exception, match=r"scaling_group\.data_disks: is no list, or an empty one"):
        inside._client.modify_cluster_node_pool_with_options(CLUSTER, web.id, request, {}, inside._runtime)
    assert server.fleet.pools[web.id].target == 2


def test_writes_go_where_the_sdk_would_send_them(ack: Cloud, server: AckServer, web: FakePool) -> None:
    def sent() -> set[tuple[str, str, str]]:
        writes = [each for each in server.asked() if each.method != "GET"]
        server.forget()
        return {(each.method, each.path, each.headers["x-acs-action"]) for each in writes}

    pool, inside = read(ack, web), cast("Any", ack)
    names = [each.id for each in ack.instances(pool)]
    vendors = inside._client
    rest: tuple[Any, ...] = ({}, inside._runtime)
    acts: tuple[Callable[[], Any], ...] = (
        lambda: vendors.modify_cluster_node_pool_with_options(
            CLUSTER, web.id, models.ModifyClusterNodePoolRequest(), *rest
        ),
        lambda: vendors.scale_cluster_node_pool_with_options(
            CLUSTER, web.id, models.ScaleClusterNodePoolRequest(), *rest
        ),
        lambda: vendors.create_cluster_node_pool_with_options(CLUSTER, models.CreateClusterNodePoolRequest(), *rest),
        lambda: vendors.delete_cluster_nodepool_with_options(
            CLUSTER, web.id, models.DeleteClusterNodepoolRequest(), *rest
        ),
        lambda: vendors.remove_node_pool_nodes_with_options(
            CLUSTER, web.id, models.RemoveNodePoolNodesRequest(instance_ids=names), *rest
        ),
    )
    for act in acts:
        with contextlib.suppress(AlibabaCloudException):
            act()
    theirs = sent()
    assert len(theirs) == 5
    web.more["sized_by_hand"] = True
    ended(ack, ack.set_size(read(ack, web), 3))
    del web.more["sized_by_hand"]
    ended(ack, ack.set_size(read(ack, web), 4))
    ended(ack, ack.create_like(read(ack, web), PoolSpec(name="web2", size=0)))
    ended(ack, ack.remove_instances(pool, ack.instances(pool)[:1]))
    ended(ack, ack.delete(pool))
    assert sent() == theirs


def test_more_than_500_nodes_at_a_time_are_refused_before_anything_is_sent(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    pool = read(ack, web)
    with pytest.raises(QuotaError, match="500 at a time"):
        ack.set_size(pool, 503)
    assert server.asked(*WRITES) == []


def test_a_pool_without_an_expected_number_is_asked_for_so_many_more(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    web.more["sized_by_hand"] = True
    pool = read(ack, web)
    assert (pool.target, pool.actual) == (2, 2)
    assert ended(ack, ack.set_size(pool, 5)).state == "done"
    assert only(server, "ScaleClusterNodePool").body == b'{"count":3}'
    assert read(ack, web).target == 5
    with pytest.raises(NotOfferedError, match="no expected number"):
        ack.set_size(read(ack, web), 4)


def test_so_many_more_are_never_asked_for_twice_after_an_unknown_outcome(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    web.more["sized_by_hand"] = True
    pool = read(ack, web)
    server.faults.set("cut_before")
    for _ in range(2):
        with pytest.raises(AmbiguousError):
            ack.set_size(pool, 5)
    assert len(server.asked("ScaleClusterNodePool")) == 1


def test_so_many_more_are_asked_for_again_only_when_throttled(ack: Cloud, server: AckServer, web: FakePool) -> None:
    web.more["sized_by_hand"] = True
    pool = read(ack, web)
    server.faults.set("throttle", 2)
    ack.set_size(pool, 3)
    assert len(server.asked("ScaleClusterNodePool")) == 3
    server.faults.set("broken")
    wait_until(CLOCK, lambda: read(ack, web).state == "ready", timeout=5, every=0.01)
    with pytest.raises(AmbiguousError, match="temporarily unavailable"):
        ack.set_size(read(ack, web), 4)
    assert len(server.asked("ScaleClusterNodePool")) == 4


def test_so_many_more_are_not_asked_for_when_somebody_changed_the_pool(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    web.more["sized_by_hand"] = True
    pool = read(ack, web)
    server.fleet.want(web, 4)
    with pytest.raises(ConflictError):
        ack.set_size(pool, 5)
    assert server.asked(*WRITES) == []


def test_what_is_sold_out_is_told_by_task_machine_and_pool(ack: Cloud, server: AckServer, web: FakePool) -> None:
    server.faults.sold_out = 2
    operation = ack.set_size(read(ack, web), 5)
    progress = ended(ack, operation)
    assert (progress.state, progress.cause) == ("partial", "sold-out")
    failed = {each.id for each in ack.instances(read(ack, web)) if each.state == "failed"}
    assert len(failed) == 2
    assert {trouble.what for trouble in progress.troubles} == failed
    assert {trouble.code for trouble in progress.troubles} == {"OperationDenied.NoStock"}
    pool = read(ack, web)
    assert (pool.target, pool.actual, pool.state) == (5, 3, "degraded")
    assert "2 nodes" in pool.troubles[0].message
    reasons = [each.reason for each in ack.instances(pool) if each.reason]
    assert len(reasons) == 2
    assert "sold out" in reasons[0].message


def test_nothing_that_arrived_is_a_failure_and_no_part(ack: Cloud, server: AckServer, web: FakePool) -> None:
    server.faults.sold_out = 1
    progress = ended(ack, ack.set_size(read(ack, web), 3))
    assert (progress.state, progress.cause) == ("failed", "sold-out")


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("conflict", ConflictError, "InvalidStatus.Forbidden"),
        ("quota", QuotaError, "QuotaExceeded.Node"),
        ("throttle", ThrottledError, "Throttling.User"),
        ("broken", CloudError, "ServiceUnavailable"),
    ],
)
def test_a_refusal_has_its_class_with_code_and_request(
    ack: Cloud, server: AckServer, web: FakePool, fault: str, kind: type[CloudError], code: str
) -> None:
    pool = read(ack, web)
    server.faults.set(fault, ATTEMPTS, "ModifyClusterNodePool")
    with pytest.raises(kind) as told:
        ack.set_size(pool, 3)
    assert type(told.value) is kind
    assert told.value.code == code
    assert told.value.request
    assert told.value.request in told.value.message
    tried = {"conflict": 1, "quota": 1}.get(fault, ATTEMPTS)
    assert len(server.asked("ModifyClusterNodePool")) == tried


def test_a_conflict_with_what_the_cloud_is_doing_is_one(ack: Cloud, server: AckServer, web: FakePool) -> None:
    hold(server)
    pool = read(ack, web)
    ack.set_size(pool, 4)
    with pytest.raises(ConflictError, match="state is scaling"):
        ack.set_size(pool, 5)


@pytest.mark.parametrize("fault", ["throttle", "broken"])
def test_an_absolute_write_is_repeated_and_done_once(ack: Cloud, server: AckServer, web: FakePool, fault: str) -> None:
    server.faults.set(fault, 2)
    assert ended(ack, ack.set_size(read(ack, web), 3)).state == "done"
    bodies = [request.json for request in server.asked("ModifyClusterNodePool")]
    assert bodies == [{"scaling_group": {"desired_size": 3}}] * 3
    nonces = {request.headers["x-acs-signature-nonce"] for request in server.record}
    assert len(nonces) == len(server.record)


@pytest.mark.parametrize(("fault", "target"), [("cut", 4), ("cut_before", 2)])
def test_a_lost_answer_is_ambiguous_and_nothing_is_sent_again(
    ack: Cloud, server: AckServer, web: FakePool, fault: str, target: int
) -> None:
    pool = read(ack, web)
    server.faults.set(fault)
    with pytest.raises(AmbiguousError):
        ack.set_size(pool, 4)
    assert len(server.asked("ModifyClusterNodePool")) == 1
    assert read(ack, web).target == target


def test_a_read_is_repeated_whatever_broke(ack: Cloud, server: AckServer, web: FakePool) -> None:
    for fault in ("throttle", "broken", "cut"):
        server.faults.set(fault, 1, "DescribeClusterNodePoolDetail")
    assert read(ack, web).target == 2
    assert len(server.asked("DescribeClusterNodePoolDetail")) == 4


def test_a_page_in_place_of_an_answer_is_a_failure_that_may_pass(ack: Cloud, server: AckServer) -> None:
    server.page_is_broken = True
    with pytest.raises(CloudError, match="not its JSON") as told:
        ack.pools()
    assert told.value.transient
    assert len(server.record) == ATTEMPTS


def test_an_answer_that_takes_too_long_is_ambiguous(
    server: AckServer, web: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaler.drivers.cloud.ack.READ_MS", 300)
    slow = driver()
    pool = read(slow, web)
    server.faults.set("slow", 1, "DeleteClusterNodepool")
    with pytest.raises(AmbiguousError, match="timed out"):
        slow.delete(pool)
    assert len(server.asked("DeleteClusterNodepool")) == 1


def test_a_cloud_that_nobody_listens_for_is_unreachable(server: AckServer, monkeypatch: pytest.MonkeyPatch) -> None:
    del server
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SCALER_ENDPOINT_ACK", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UnreachableError):
            driver().pools()


def test_a_wrong_secret_is_an_error_of_credentials(
    server: AckServer, web: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another")
    with pytest.raises(CredentialsError, match="SignatureDoesNotMatch"):
        driver().pool(web.id)
    assert len(server.record) == 1


def test_no_credentials_are_an_error_that_names_the_chain(server: AckServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID")
    monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    with pytest.raises(CredentialsError) as told:
        driver().pools()
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in told.value.hint
    assert server.record == []


def test_a_temporary_key_goes_with_its_token(monkeypatch: pytest.MonkeyPatch, server: AckServer) -> None:
    monkeypatch.setattr(server.signatures, "token", "an-example-of-a-token")
    with pytest.raises(CredentialsError):
        driver().pools()
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", server.signatures.token)
    assert driver().pools() == ()


def test_certificates_to_trust_come_by_environment(
    server: AckServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del server
    secure = AckServer(NoNodes(), tls=server_tls())
    try:
        monkeypatch.setenv("SCALER_ENDPOINT_ACK", secure.url)
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            driver().pools()
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted(tmp_path / "roots.pem")))
        assert driver().pools() == ()
    finally:
        secure.close()


def test_machines_are_read_page_by_page(ack: Cloud, server: AckServer) -> None:
    many = server.add_pool("many", 303)
    server.add_pool("other", 5)
    found = ack.instances(read(ack, many))
    assert len({each.id for each in found}) == 303
    asked = [request.query for request in server.asked("DescribeClusterNodes")]
    assert [query["pageNumber"] for query in asked] == [["1"], ["2"], ["3"], ["4"]]
    assert {(query["nodepool_id"][0], query["pageSize"][0]) for query in asked} == {(many.id, "100")}


def test_a_machine_is_its_node_by_the_end_of_the_provider_id(ack: Cloud, web: FakePool) -> None:
    machine, instance = web.machines[0], ack.instances(read(ack, web))[0]
    assert (instance.node, instance.provider_id) == (machine.node, f".{machine.id}")
    for provider_id in (f"{REGION}.{machine.id}", f"alicloud://{REGION}.{machine.id}"):
        assert instance.is_node("any", provider_id)
        assert not instance.is_node(machine.node, f"{provider_id}1")
    # A Node that nobody gave a providerID.
    assert instance.is_node(machine.node, "")


def test_machines_end_in_one_request_without_a_drain_and_the_size_goes_down(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    pool = read(ack, web)
    hold(server)
    going = ack.instances(pool)[:1]
    operation = ack.remove_instances(pool, going)
    assert operation.instances == (going[0].id,)
    assert {each.state for each in ack.instances(pool)} == {"leaving", "running"}
    let_go(server)
    assert ended(ack, operation).state == "done"
    request = only(server, "RemoveNodePoolNodes")
    assert request.query == {
        "instance_ids": [f'["{going[0].id}"]'],
        "drain_node": ["false"],
        "release_node": ["true"],
    }
    pool = read(ack, web)
    assert (pool.target, pool.actual) == (1, 1)


def test_a_machine_that_was_refused_is_told_and_the_others_went(ack: Cloud, server: AckServer, web: FakePool) -> None:
    pool = read(ack, web)
    stays, goes = ack.instances(pool)
    server.faults.refuse.add(stays.id)
    progress = ended(ack, ack.remove_instances(pool, [stays, goes]))
    assert progress.state == "partial"
    assert [(trouble.what, trouble.code) for trouble in progress.troubles] == [(stays.id, "RemoveNodeFailed")]
    assert "deletion protection" in progress.troubles[0].message
    assert [each.id for each in ack.instances(read(ack, web))] == [stays.id]


def test_a_removal_whose_answer_was_lost_is_not_sent_again(ack: Cloud, server: AckServer, web: FakePool) -> None:
    pool = read(ack, web)
    for fault in ("cut", "broken"):
        server.faults.set(fault)
        with pytest.raises(AmbiguousError):
            ack.remove_instances(pool, ack.instances(pool)[:1])
        server.faults.clear()
    assert len(server.asked("RemoveNodePoolNodes")) == 2


def test_more_machines_than_an_address_holds_are_refused(ack: Cloud, server: AckServer, web: FakePool) -> None:
    many = [Instance(id=f"i-{number}", state="running") for number in range(101)]
    with pytest.raises(QuotaError):
        ack.remove_instances(read(ack, web), many)
    assert server.asked("RemoveNodePoolNodes") == []


def test_bounds_are_set_with_what_the_autoscaler_was_told_to_be(ack: Cloud, server: AckServer, web: FakePool) -> None:
    web.more["auto_scaling"]["type"] = "gpu"
    operation = ack.set_autoscaling(read(ack, web), Autoscaling(on=True, min=1, max=6))
    assert ended(ack, operation).state == "done"
    assert only(server, "ModifyClusterNodePool").json == {
        "auto_scaling": {
            "enable": True,
            "min_instances": 1,
            "max_instances": 6,
            "type": "gpu",
            "is_bond_eip": False,
            "eip_internet_charge_type": "PayByBandwidth",
        }
    }
    pool = read(ack, web)
    assert (pool.autoscaled, pool.min, pool.max, pool.target, pool.actual) == (True, 1, 6, 2, 2)


def test_an_autoscaler_is_switched_off_by_that_alone(ack: Cloud, server: AckServer, web: FakePool) -> None:
    ended(ack, ack.set_autoscaling(read(ack, web), Autoscaling(on=True, min=1, max=6)))
    server.forget()
    ended(ack, ack.set_autoscaling(read(ack, web), Autoscaling(on=False, min=1, max=6)))
    assert only(server, "ModifyClusterNodePool").body == b'{"auto_scaling":{"enable":false}}'
    pool = read(ack, web)
    assert (pool.autoscaled, pool.min, pool.max) == (False, None, None)


def test_a_pool_is_made_like_another_one(ack: Cloud, server: AckServer, web: FakePool) -> None:
    operation = ack.create_like(read(ack, web), PoolSpec(name="web2", size=3))
    assert ended(ack, operation).state == "done"
    body = only(server, "CreateClusterNodePool").json
    assert body["nodepool_info"] == {"name": "web2", "type": "ess", "resource_group_id": "rg-1"}
    assert body["scaling_group"] == {
        "data_disks": [{"category": "cloud_essd", "size": 120, "encrypted": "false"}],
        "desired_size": 3,
        "image_type": "AliyunLinux3",
        "instance_charge_type": "PostPaid",
        "instance_types": ["ecs.g7.xlarge"],
        "key_pair": "operators",
        "multi_az_policy": "BALANCE",
        "on_demand_percentage_above_base_capacity": 0,
        "security_group_ids": ["sg-1", "sg-2"],
        "system_disk_category": "cloud_essd",
        "system_disk_size": 120,
        "tags": [{"key": "team", "value": "shop"}],
        "vswitch_ids": ["vsw-1", "vsw-2"],
    }
    assert body["kubernetes_config"]["taints"] == [{"key": "only", "value": "web", "effect": "NoSchedule"}]
    assert set(body) == {"kubernetes_config", "management", "nodepool_info", "scaling_group", "tee_config"}
    made = ack.pool(operation.pool)
    assert made is not None
    assert (made.name, made.target, made.actual) == ("web2", 3, 3)


def test_a_pool_is_made_with_the_bounds_that_were_asked_for(ack: Cloud, server: AckServer, web: FakePool) -> None:
    spec = PoolSpec(name="web2", size=1, autoscaling=Autoscaling(on=True, min=1, max=4))
    operation = ack.create_like(read(ack, web), spec)
    assert only(server, "CreateClusterNodePool").json["auto_scaling"]["max_instances"] == 4
    made = ack.pool(operation.pool)
    assert made is not None
    assert (made.autoscaled, made.min, made.max) == (True, 1, 4)


def test_a_pool_like_an_autoscaled_one_is_autoscaled_around_its_size(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    ended(ack, ack.set_autoscaling(read(ack, web), Autoscaling(on=True, min=1, max=3)))
    ack.create_like(read(ack, web), PoolSpec(name="web2", size=5))
    scaling = only(server, "CreateClusterNodePool").json["auto_scaling"]
    assert (scaling["enable"], scaling["min_instances"], scaling["max_instances"]) == (True, 1, 5)


@pytest.mark.parametrize(
    "more",
    [{"scaling_group": {"login_password": "******", "key_pair": ""}}, {"nodepool_info": {"type": "edge"}}],
    ids=["a password", "an edge pool"],
)
def test_what_ack_keeps_to_itself_cannot_be_copied(
    ack: Cloud, server: AckServer, web: FakePool, more: dict[str, dict[str, str]]
) -> None:
    for name, values in more.items():
        web.more[name] = {**web.more.get(name, {}), **values}
    with pytest.raises(NotOfferedError) as told:
        ack.create_like(read(ack, web), PoolSpec(name="web2", size=1))
    assert "console" in told.value.hint
    assert server.asked("CreateClusterNodePool") == []


@pytest.mark.parametrize("fault", ["cut", "broken"])
def test_a_pool_is_not_made_twice(ack: Cloud, server: AckServer, web: FakePool, fault: str) -> None:
    server.faults.set(fault)
    with pytest.raises(AmbiguousError):
        ack.create_like(read(ack, web), PoolSpec(name="web2", size=1))
    assert len(server.asked("CreateClusterNodePool")) == 1


def test_a_pool_is_deleted_with_its_machines(ack: Cloud, server: AckServer, web: FakePool) -> None:
    hold(server)
    pool = read(ack, web)
    operation = ack.delete(pool)
    assert only(server, "DeleteClusterNodepool").query == {"force": ["true"]}
    leaving = read(ack, web)
    assert leaving.state == "deleting"
    again = ack.delete(leaving)
    assert ack.poll(again).state == "running"
    let_go(server)
    assert ended(ack, operation).state == "done"
    assert ack.pool(web.id) is None
    assert ended(ack, again).state == "done"
    gone = ack.delete(pool)
    assert ack.poll(gone).state == "done"


def test_masters_are_told_where_they_are_the_customers(ack: Cloud, server: AckServer) -> None:
    with pytest.raises(NotOfferedError, match="own"):
        ack.masters()
    server.masters += ["m1", "m2", "m3"]
    assert [each.node for each in ack.masters()] == ["m1", "m2", "m3"]
    with pytest.raises(NotOfferedError):
        ack.add_masters(["i-1"])
    with pytest.raises(NotOfferedError):
        ack.remove_masters(ack.masters()[:1])
    assert not {"add-masters", "remove-masters"} & ack.offers


def lost(change: Any, pool: str, **more: Any) -> Operation:
    """Return an operation whose answer was lost; any process may poll it."""
    return Operation(change=change, pool=pool, started=CLOCK.now(), **more)


def test_a_size_whose_answer_was_lost_is_read_off_the_pool(ack: Cloud, server: AckServer, web: FakePool) -> None:
    hold(server)
    operation = lost("set-size", web.id, target=4)
    server.faults.set("cut")
    with pytest.raises(AmbiguousError):
        ack.set_size(read(ack, web), 4)
    assert ack.poll(operation).state == "running"
    let_go(server)
    assert ended(ack, operation).state == "done"
    progress = ack.poll(lost("set-size", web.id, target=9))
    assert (progress.state, progress.cause) == ("failed", "conflict")


def test_an_old_failure_is_none_of_a_new_operation_until_the_cloud_had_its_time(
    ack: Cloud, server: AckServer, web: FakePool
) -> None:
    server.faults.sold_out = 1
    ended(ack, ack.set_size(read(ack, web), 4))
    assert ack.poll(lost("set-size", web.id, target=4)).state == "partial"
    failed = next(each for each in web.machines if each.state == "failed")
    old = (CLOCK.now() - timedelta(hours=1)).isoformat()
    server.seen[failed.id] = old
    new = lost("set-size", web.id, target=4)
    assert ack.poll(new).state == "running"
    waited = new.model_copy(update={"started": CLOCK.now() - timedelta(minutes=5)})
    progress = ack.poll(waited)
    assert progress.state == "partial"
    assert [trouble.what for trouble in progress.troubles] == [failed.id]


def test_a_new_pool_whose_answer_was_lost_is_found_by_its_name(ack: Cloud, server: AckServer, web: FakePool) -> None:
    server.faults.set("cut")
    with pytest.raises(AmbiguousError):
        ack.create_like(read(ack, web), PoolSpec(name="web2", size=1))
    assert ended(ack, lost("create", "web2", target=1)).state == "done"
    assert ack.poll(lost("create", "web3", target=1)).state == "failed"


def test_a_removal_whose_answer_was_lost_is_read_off_the_machines(ack: Cloud, server: AckServer, web: FakePool) -> None:
    pool = read(ack, web)
    hold(server)
    names = tuple(each.id for each in ack.instances(pool))
    server.faults.set("cut")
    with pytest.raises(AmbiguousError):
        ack.remove_instances(pool, ack.instances(pool))
    operation = lost("remove-instances", web.id, instances=names)
    assert ack.poll(operation).state == "running"
    let_go(server)
    assert ended(ack, operation).state == "done"
    other = server.add_pool("other", 1)
    still = lost("remove-instances", other.id, instances=(other.machines[0].id,))
    assert ack.poll(still).state == "failed"


def test_a_task_that_ack_forgot_is_read_off_the_pool(ack: Cloud, server: AckServer, web: FakePool) -> None:
    hold(server)
    operation = ack.set_size(read(ack, web), 3)
    server.tasks.clear()
    assert ack.poll(operation).state == "running"
    let_go(server)
    assert ended(ack, operation).state == "done"
    bounds = ack.set_autoscaling(read(ack, web), Autoscaling(on=True, min=1, max=6))
    server.tasks.clear()
    assert ended(ack, bounds).state == "done"


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("Throttling", "", 503, ThrottledError),
        ("Rejected.Throttling", "", 400, ThrottledError),
        ("", "", 429, ThrottledError),
        ("QuotaExceed.ElasticQuota", "", 403, QuotaError),
        ("OperationDenied.NoStock", "", 403, SoldOutError),
        ("Zone.NotOnSale", "", 400, SoldOutError),
        ("InvalidStatus.Forbidden", "", 400, ConflictError),
        ("ErrorClusterState", "", 400, ConflictError),
        ("Error", "cannot operate cluster where state is updating", 400, ConflictError),
        ("StatusForbidden", "", 403, CredentialsError),
        ("Forbidden.RAM", "", 403, CredentialsError),
        ("InvalidAccessKeyId.NotFound", "", 404, CredentialsError),
        ("InvalidSecurityToken.Expired", "", 400, CredentialsError),
        ("InvalidParameter", "", 400, CloudError),
        ("InternalError", "", 500, CloudError),
    ],
)
def test_a_code_means_one_kind_of_error(code: str, message: str, status: int, kind: type[CloudError]) -> None:
    assert family(code, message, status) is kind
