"""The driver of EKS over boto3, against moto's server and what is laid over it, on a real socket."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx2 as httpx
import pytest

from scaler.drivers.cloud import Doors, of
from scaler.drivers.cloud_calls import ATTEMPTS, Calls
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    InputError,
    NotOfferedError,
    QuotaError,
    ThrottledError,
    UnreachableError,
)
from scaler.gateways.clock import SystemClock
from scaler.model.clouds import Eks
from scaler.model.pools import Autoscaling, Operation, PoolSpec
from tests.servers.eks import LABEL, EksServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.drivers.cloud import Cloud
    from scaler.model.pools import Pool, Progress
    from tests.servers.base import Request

pytestmark = pytest.mark.cloud

UPDATE, END = "UpdateNodegroupConfig", "TerminateInstanceInAutoScalingGroup"
HOURS = 3600
CLUSTER = Eks(
    kind="eks",
    cluster_name="prod",
    region="eu-central-1",
    cluster_id="prod",
    admin_kubeconfig=Path("/nowhere"),
    poll_seconds=0.02,
)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EksServer]:
    server = EksServer()
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("AWS_PROFILE", raising=False)
        for name, value in server.environment(tmp_path_factory.mktemp("home")).items():
            environment.setenv(name, value)
        yield server
    server.close()


@pytest.fixture(scope="module")
def driver(started: EksServer) -> Cloud:  # noqa: ARG001 - its environment
    """Make one for all tests: a client of boto3 takes most of a second to make."""
    return make()


@pytest.fixture
def aws(started: EksServer) -> EksServer:
    """Begin anew, with a cloud that takes no time."""
    started.reset()
    started.fleet.seconds = 0
    return started


@pytest.fixture
def eks(aws: EksServer, driver: Cloud) -> Cloud:  # noqa: ARG001 - it begins anew
    return driver


def make(cluster: Eks = CLUSTER) -> Cloud:
    clock = SystemClock()
    return of("eks")(Doors(cluster, clock, os.environ, lambda translate: Calls(clock, translate, pause=0.001)))


def there(eks: Cloud, name: str = "web") -> Pool:
    pool = eks.pool(name)
    assert pool is not None
    return pool


def ended(eks: Cloud, operation: Operation) -> Progress:
    deadline = time.monotonic() + 10
    while (progress := eks.poll(operation)).state == "running":
        assert time.monotonic() < deadline, progress
        time.sleep(0.02)
    return progress


def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


def hours_ago(hours: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


# What is there


def test_a_pool_has_the_numbers_of_the_nodegroup_and_of_the_group_below(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 3, min=1, max=9)
    aws.add_pool("db", 0)
    db, web = eks.pools()
    assert (web.id, web.target, web.actual, web.min, web.max, web.state) == ("web", 3, 3, 1, 9, "ready")
    assert (web.label, web.value, web.machine, web.told) == (LABEL, "web", "t3.medium", "ACTIVE")
    assert web.zones == ("eu-central-1a", "eu-central-1b", "eu-central-1c")
    assert (db.id, db.target, db.actual) == ("db", 0, 0)
    assert eks.pool("web") == web


def test_the_tags_that_eks_sets_itself_are_no_autoscaler(aws: EksServer, eks: Cloud) -> None:
    pool = aws.add_pool("web", 1)
    assert "k8s.io/cluster-autoscaler/enabled" in {tag["Key"] for tag in aws.moto.group(pool).tags}
    assert not there(eks).autoscaled
    assert "autoscaler" not in eks.offers


def test_a_nodegroup_that_is_not_there_is_none(eks: Cloud) -> None:
    assert eks.pool("web") is None


def test_a_cluster_that_is_not_there_is_an_error(aws: EksServer) -> None:
    aws.add_pool("web", 1)
    elsewhere = make(CLUSTER.model_copy(update={"cluster_id": "other"}))
    with pytest.raises(CloudError, match="No cluster found") as told:
        elsewhere.pool("web")
    assert told.value.code == "ResourceNotFoundException"
    with pytest.raises(CloudError, match="No cluster found"):
        elsewhere.pools()


def test_an_instance_has_the_provider_id_that_its_node_has(aws: EksServer, eks: Cloud) -> None:
    fleet = aws.add_pool("web", 2)
    instances = eks.instances(there(eks))
    assert {instance.provider_id for instance in instances} == {f"aws:///{m.zone}/{m.id}" for m in fleet.machines}
    assert {instance.state for instance in instances} == {"running"}
    assert instances[0].is_node("any", instances[0].provider_id)


def test_machines_become_nodes_with_the_label_of_their_nodegroup(
    aws: EksServer, eks: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[tuple[str, dict[str, str]]] = []

    class Nodes:
        def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
            assert name.startswith("ip-")
            added.append((provider_id, labels))

        def remove(self, name: str) -> None: ...

    monkeypatch.setattr(aws.fleet, "nodes", Nodes())
    aws.add_pool("web", 2)
    assert added == [(instance.provider_id, {LABEL: "web"}) for instance in eks.instances(there(eks))]


def test_all_pages_are_read(aws: EksServer, eks: Cloud) -> None:
    for number in range(105):
        aws.add_pool(f"small-{number:03}", 0)
    aws.add_pool("web", 300)
    assert len(eks.pools()) == 106
    assert len(aws.asked("ListNodegroups")) == 2
    # 50 names of groups are what one request takes.
    assert len(aws.asked("DescribeAutoScalingGroups")) == 3
    assert len({instance.id for instance in eks.instances(there(eks))}) == 300


# Size


@pytest.mark.parametrize("size", [5, 1])
def test_a_size_is_an_absolute_number_and_all_that_is_sent(aws: EksServer, eks: Cloud, size: int) -> None:
    aws.add_pool("web", 3)
    aws.fleet.seconds = HOURS
    operation = eks.set_size(there(eks), size)
    (sent,) = aws.asked(UPDATE)
    body = sent.json
    assert body.pop("clientRequestToken")
    assert body == {"scalingConfig": {"desiredSize": size}}
    assert operation.request
    assert there(eks).state == "changing"
    assert eks.poll(operation).state == "running"
    aws.let_pass()
    assert ended(eks, operation).state == "done"
    pool = there(eks)
    assert (pool.target, pool.actual, pool.state) == (size, size, "ready")


def test_another_process_polls_what_this_one_began(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    kept = eks.set_size(there(eks), 2).model_dump_json()
    assert ended(make(), Operation.model_validate_json(kept)).state == "done"


def test_an_operation_whose_answer_was_lost_is_polled_by_what_is_there(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    lost = Operation(change="set-size", pool="web", target=2, started=datetime.now(UTC))
    assert eks.poll(lost).state == "running"
    eks.set_size(there(eks), 2)
    assert ended(eks, lost).state == "done"


def test_a_size_that_somebody_else_set_is_a_conflict(aws: EksServer, eks: Cloud) -> None:
    fleet = aws.add_pool("web", 1)
    operation = eks.set_size(there(eks), 2)
    aws.fleet.want(fleet, 4)
    progress = ended(eks, operation)
    assert (progress.state, progress.cause) == ("failed", "conflict")
    assert "set it to 4" in progress.troubles[0].message


def test_what_is_outside_the_bounds_is_refused_in_the_words_of_eks(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 3, min=2, max=4)
    with pytest.raises(CloudError, match="desiredSize can't be greater than maxSize 4") as told:
        eks.set_size(there(eks), 5)
    assert told.value.code == "InvalidParameterException"
    assert type(told.value) is CloudError


# Machines that do not start


def test_what_could_not_start_is_told_with_its_zones(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.sold_out = 2
    progress = ended(eks, eks.set_size(there(eks), 6))
    assert (progress.state, progress.cause) == ("partial", "sold-out")
    assert progress.told == "4 of 6 instances"
    assert {trouble.code for trouble in progress.troubles} == {"InsufficientInstanceCapacity"}
    assert all(trouble.what.startswith("eu-central-1") for trouble in progress.troubles)
    pool = there(eks)
    assert (pool.state, pool.told, pool.target, pool.actual) == ("degraded", "DEGRADED", 6, 4)
    assert "InsufficientInstanceCapacity" in {trouble.code for trouble in pool.troubles}


def test_where_none_started_the_change_has_failed(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.sold_out = 2
    progress = ended(eks, eks.set_size(there(eks), 3))
    assert (progress.state, progress.cause) == ("failed", "sold-out")


def test_a_degraded_nodegroup_takes_the_next_change(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.sold_out = 2
    ended(eks, eks.set_size(there(eks), 4))
    assert ended(eks, eks.set_size(there(eks), 2)).state == "done"
    # As AWS leaves it: the issue stays, though nothing is missing.
    assert there(eks).state == "degraded"


def test_failures_from_before_are_none_of_this_change(aws: EksServer, eks: Cloud) -> None:
    fleet = aws.add_pool("web", 1)
    aws.faults.sold_out = 1
    ended(eks, eks.set_size(there(eks), 2))
    for activity in fleet.more["activities"]:
        activity |= {"StartTime": hours_ago(2), "EndTime": hours_ago(2)}
    assert {trouble.code for trouble in there(eks).troubles} == {"AsgInstanceLaunchFailures"}
    late = Operation(change="set-size", pool="web", target=2, started=datetime.now(UTC))
    assert eks.poll(late).state == "running"


def test_all_pages_of_failures_are_read(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 0)
    aws.faults.sold_out = 120
    progress = ended(eks, eks.set_size(there(eks), 120))
    assert progress.state == "failed"
    tokens = [form(request).get("NextToken") for request in aws.asked("DescribeScalingActivities")]
    assert tokens[-2:] == [None, "100"]


# Faults of the cloud


def test_a_throttled_change_is_repeated_as_one_and_the_same_request(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    pool = there(eks)
    aws.faults.set("throttle", 2)
    eks.set_size(pool, 2)
    sent = aws.asked(UPDATE)
    assert len(sent) == 3
    assert len({request.json["clientRequestToken"] for request in sent}) == 1


def test_who_is_throttled_for_good_is_told(aws: EksServer, eks: Cloud) -> None:
    aws.faults.set("throttle", 100, "DescribeNodegroup")
    with pytest.raises(ThrottledError) as told:
        eks.pool("web")
    assert told.value.code == "ThrottlingException"
    assert told.value.request
    # The SDK repeats nothing by itself.
    assert len(aws.asked("DescribeNodegroup")) == ATTEMPTS


def test_a_conflict_is_told_and_not_repeated(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    pool = there(eks)
    aws.fleet.seconds = HOURS
    eks.set_size(pool, 2)
    with pytest.raises(ConflictError, match="not in Active State") as told:
        eks.set_size(pool, 3)
    assert told.value.code == "ResourceInUseException"
    assert told.value.request in told.value.message
    assert len(aws.asked(UPDATE)) == 2


def test_a_limit_is_told(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.set("quota")
    with pytest.raises(QuotaError, match="limit exceeded") as told:
        eks.set_size(there(eks), 2)
    assert (told.value.code, bool(told.value.request)) == ("ResourceLimitExceededException", True)


def test_a_read_and_an_absolute_change_are_repeated_behind_a_5xx(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.set("broken", 1, "DescribeNodegroup")
    aws.faults.set("broken", 1, UPDATE)
    aws.faults.set("broken", 1, "DescribeAutoScalingGroups")
    assert ended(eks, eks.set_size(there(eks), 2)).state == "done"
    assert len(aws.asked(UPDATE)) == 2


def test_a_5xx_for_good_is_an_error_of_the_cloud(aws: EksServer, eks: Cloud) -> None:
    aws.faults.set("broken", 100, "ListNodegroups")
    with pytest.raises(CloudError) as told:
        eks.pools()
    assert told.value.transient
    assert told.value.code == "ServiceUnavailableException"


@pytest.mark.parametrize(("fault", "target"), [("cut", 2), ("cut_before", 1)])
def test_a_change_whose_answer_is_lost_is_sent_once(aws: EksServer, eks: Cloud, fault: str, target: int) -> None:
    aws.add_pool("web", 1)
    pool = there(eks)
    aws.faults.set(fault)
    with pytest.raises(AmbiguousError):
        eks.set_size(pool, 2)
    assert len(aws.asked(UPDATE)) == 1
    assert there(eks).target == target


def test_a_change_whose_answer_does_not_come_is_sent_once(aws: EksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    eks = make()
    monkeypatch.setattr("scaler.drivers.cloud_eks_wire.READ_SECONDS", 0.5)
    aws.add_pool("web", 1)
    pool = there(eks)
    aws.faults.slow_seconds = 1
    with pytest.raises(AmbiguousError, match="Read timeout"):
        eks.set_size(pool, 2)
    aws.faults.slow_seconds = 0
    assert len(aws.asked(UPDATE)) == 1


def test_a_read_whose_answer_is_lost_is_repeated(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.set("cut", 1, "DescribeNodegroup")
    assert there(eks).target == 1


def test_without_credentials_the_chain_is_named(aws: EksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError) as told:
        make().pools()
    assert "AWS_ACCESS_KEY_ID" in told.value.hint
    assert not aws.asked()


@pytest.mark.parametrize(
    ("name", "code"),
    [("AWS_ACCESS_KEY_ID", "UnrecognizedClientException"), ("AWS_SECRET_ACCESS_KEY", "InvalidSignatureException")],
)
def test_a_wrong_key_is_an_error_of_credentials(
    aws: EksServer, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(CredentialsError) as told:
        make().pools()
    assert told.value.code == code
    assert len(aws.asked()) == 1


def test_a_profile_is_read_from_the_files_of_aws(
    aws: EksServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.add_pool("web", 1)
    file = tmp_path / "credentials"
    file.write_text(f"[ops]\naws_access_key_id = {aws.key}\naws_secret_access_key = {aws.secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    assert there(make(CLUSTER.model_copy(update={"profile": "ops"}))).target == 1
    with pytest.raises(CredentialsError, match="nobody"):
        make(CLUSTER.model_copy(update={"profile": "nobody"})).pools()


def test_the_sdks_own_variables_say_where_aws_is(aws: EksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.add_pool("web", 1)
    monkeypatch.delenv("SCALER_ENDPOINT_EKS")
    monkeypatch.delenv("SCALER_ENDPOINT_AUTOSCALING")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    assert there(make()).target == 1


def test_where_nobody_listens_nothing_was_sent(aws: EksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.add_pool("web", 1)
    pool = there(make())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SCALER_ENDPOINT_EKS", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(UnreachableError):
            make().set_size(pool, 2)


# Removal of given machines


def test_exactly_these_machines_go_and_the_size_with_them(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 4)
    pool = there(eks)
    first, *rest, last = eks.instances(pool)
    aws.fleet.seconds = HOURS
    operation = eks.remove_instances(pool, [first, last])
    sent = [form(request) for request in aws.asked(END)]
    assert sent == [
        {"Action": END, "Version": "2011-01-01", "InstanceId": id_, "ShouldDecrementDesiredCapacity": "true"}
        for id_ in (first.id, last.id)
    ]
    assert (operation.instances, operation.target, operation.troubles) == ((first.id, last.id), 2, ())
    assert {instance.state for instance in eks.instances(pool) if instance.id in operation.instances} == {"leaving"}
    assert eks.poll(operation).state == "running"
    aws.let_pass()
    assert ended(eks, operation).state == "done"
    assert {instance.id for instance in eks.instances(pool)} == {instance.id for instance in rest}
    assert there(eks).target == 2
    assert not aws.asked(UPDATE)


def test_what_aws_refuses_at_the_minimum_is_a_trouble_of_that_machine(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 2, min=1)
    pool = there(eks)
    one, two = eks.instances(pool)
    operation = eks.remove_instances(pool, [one, two])
    assert (operation.instances, operation.target) == ((one.id,), 1)
    (trouble,) = operation.troubles
    assert (trouble.what, trouble.code) == (two.id, "ValidationError")
    assert "desiredSize equals minSize (1)" in trouble.message


def test_the_others_go_where_one_is_refused(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 3)
    pool = there(eks)
    one, two, three = eks.instances(pool)
    aws.faults.refuse.add(two.id)
    operation = eks.remove_instances(pool, [one, two, three])
    assert operation.instances == (one.id, three.id)
    assert [trouble.what for trouble in operation.troubles] == [two.id]
    assert ended(eks, operation).state == "done"
    assert [instance.id for instance in eks.instances(pool)] == [two.id]


@pytest.mark.parametrize("fault", ["cut", "broken"])
def test_a_removal_of_which_nobody_knows_is_sent_once(aws: EksServer, eks: Cloud, fault: str) -> None:
    aws.add_pool("web", 3)
    pool = there(eks)
    aws.faults.set(fault)
    with pytest.raises(AmbiguousError):
        eks.remove_instances(pool, eks.instances(pool)[:1])
    assert len(aws.asked(END)) == 1


def test_one_of_several_of_which_nobody_knows_is_a_trouble(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 3)
    pool = there(eks)
    one, two, _ = eks.instances(pool)
    aws.faults.set("cut")
    operation = eks.remove_instances(pool, [one, two])
    assert operation.instances == (two.id,)
    assert [(trouble.what, trouble.code) for trouble in operation.troubles] == [(one.id, "ambiguous")]
    assert [form(request)["InstanceId"] for request in aws.asked(END)] == [one.id, two.id]


def test_a_throttled_removal_is_repeated(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 2)
    pool = there(eks)
    aws.faults.set("throttle")
    operation = eks.remove_instances(pool, eks.instances(pool)[:1])
    assert len(operation.instances) == 1
    assert len(aws.asked(END)) == 2


def test_a_conflict_ends_the_row_and_is_raised_where_nothing_was_done(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 3)
    pool = there(eks)
    one, two, three = eks.instances(pool)
    aws.faults.set("conflict")
    with pytest.raises(ConflictError) as told:
        eks.remove_instances(pool, [one, two])
    assert told.value.code == "ScalingActivityInProgress"
    aws.forget()
    aws.faults.refuse.add(one.id)
    aws.faults.set("throttle", 100, END)
    with pytest.raises(ThrottledError):
        eks.remove_instances(pool, [one, two, three])
    assert len(aws.asked(END)) == ATTEMPTS


# Bounds


def test_bounds_are_set_without_a_size(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 3, min=1, max=5)
    operation = eks.set_autoscaling(there(eks), Autoscaling(on=False, min=2, max=8))
    assert aws.asked(UPDATE)[0].json["scalingConfig"] == {"minSize": 2, "maxSize": 8}
    assert ended(eks, operation).state == "done"
    pool = there(eks)
    assert (pool.min, pool.max, pool.target) == (2, 8, 3)
    lost = Operation(change="set-autoscaling", pool="web", started=datetime.now(UTC), more={"minSize": "3"})
    assert eks.poll(lost).state == "running"
    assert eks.poll(lost.model_copy(update={"more": {"minSize": "2", "maxSize": "8"}})).state == "done"


def test_bounds_without_the_size_are_refused_in_the_words_of_eks(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 4)
    with pytest.raises(CloudError, match="Minimum capacity 8 can't be greater than desired size 4"):
        eks.set_autoscaling(there(eks), Autoscaling(on=False, min=8, max=9))


def test_a_maximum_of_nothing_is_refused_before_anything_is_sent(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 0)
    pool = there(eks)
    aws.forget()
    with pytest.raises(InputError, match="max 0"):
        eks.set_autoscaling(pool, Autoscaling(on=False, min=0, max=0))
    assert not aws.asked()


# Making and deleting


def test_a_pool_is_made_like_another(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 2, min=1, max=5)
    one = aws.moto.nodegroup("web")
    one.update_config, one.node_repair_config = {"maxUnavailable": 2}, {"enabled": True}
    one.taints, one.tags = [{"key": "a", "value": "b", "effect": "NO_SCHEDULE"}], {"team": "web", "aws:made": "by"}
    like = eks.pool("web")
    assert like is not None
    aws.fleet.seconds = HOURS
    operation = eks.create_like(like, PoolSpec(name="web2", size=3))
    (sent,) = aws.asked("CreateNodegroup")
    body = sent.json
    assert body.pop("clientRequestToken")
    assert body == {
        "nodegroupName": "web2",
        "scalingConfig": {"minSize": 1, "maxSize": 5, "desiredSize": 3},
        "subnets": list(aws.moto.subnets.values()),
        "nodeRole": one.node_role,
        "instanceTypes": ["t3.medium"],
        "amiType": one.ami_type,
        "capacityType": "ON_DEMAND",
        "diskSize": 20,
        "remoteAccess": one.remote_access,
        "version": one.version,
        "releaseVersion": one.release_version,
        "labels": {"team": "web"},
        "taints": one.taints,
        "tags": {"team": "web"},
        "updateConfig": {"maxUnavailable": 2},
        "nodeRepairConfig": {"enabled": True},
    }
    assert (operation.pool, operation.target) == ("web2", 3)
    assert there(eks, "web2").state == "changing"
    aws.let_pass()
    assert ended(eks, operation).state == "done"
    assert (there(eks, "web2").target, there(eks, "web2").actual) == (3, 3)


def test_what_a_launch_template_says_is_not_said_twice(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    one = aws.moto.nodegroup("web")
    one.launch_template, one.ami_type = {"id": "lt-1", "name": "nodes", "version": "7"}, "CUSTOM"
    eks.create_like(there(eks), PoolSpec(name="web2", size=0, autoscaling=Autoscaling(on=False, min=0, max=4)))
    body = aws.asked("CreateNodegroup")[0].json
    assert body["launchTemplate"] == {"id": "lt-1", "version": "7"}
    assert not {"diskSize", "remoteAccess", "version", "releaseVersion"} & set(body)
    assert body["scalingConfig"] == {"minSize": 0, "maxSize": 4, "desiredSize": 0}


def test_a_name_that_is_taken_is_a_conflict(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    with pytest.raises(ConflictError, match="already exists"):
        eks.create_like(there(eks), PoolSpec(name="web", size=1))


def test_a_pool_whose_machines_do_not_start_has_failed(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    aws.faults.sold_out = 2
    progress = ended(eks, eks.create_like(there(eks), PoolSpec(name="web2", size=2)))
    assert (progress.state, progress.cause, progress.told) == ("failed", "sold-out", "EKS: CREATE_FAILED")
    assert there(eks, "web2").state == "failed"


def test_a_pool_is_deleted_with_its_machines(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 2)
    aws.fleet.seconds = HOURS
    operation = eks.delete(there(eks))
    assert there(eks).state == "deleting"
    eks.delete(there(eks))
    assert len(aws.asked("DeleteNodegroup")) == 1
    assert eks.poll(operation).state == "running"
    aws.let_pass()
    assert ended(eks, operation).state == "done"
    assert eks.pool("web") is None


def test_to_delete_what_is_gone_is_done(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 0)
    pool = there(eks)
    ended(eks, eks.delete(pool))
    assert ended(eks, eks.delete(pool)).state == "done"
    assert eks.instances(pool) == ()


def test_masters_are_not_offered(eks: Cloud) -> None:
    for ask in (eks.masters, lambda: eks.add_masters(["i-1"]), lambda: eks.remove_masters([])):
        with pytest.raises(NotOfferedError, match="AWS' own"):
            ask()


# The server itself


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, {}, 403),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, {}, 403),
    ],
)
def test_the_server_takes_nothing_unsigned(
    aws: EksServer, headers: dict[str, str], body: dict[str, Any], status: int
) -> None:
    url = f"{aws.url}/clusters/prod/node-groups/web/update-config"
    assert httpx.post(url, headers=headers, json=body, trust_env=False).status_code == status


def test_the_server_takes_no_parameter_that_the_specification_has_not(aws: EksServer) -> None:
    aws.add_pool("web", 1)
    from botocore.session import Session  # noqa: PLC0415 - heavy: only where the server is

    client: Any = Session().create_client("eks", "eu-central-1", endpoint_url=aws.url, config=_unchecked())
    with pytest.raises(Exception, match="valid min value: 1"):
        client.update_nodegroup_config(clusterName="prod", nodegroupName="web", scalingConfig={"maxSize": 0})


def _unchecked() -> Any:
    from botocore.config import Config  # noqa: PLC0415 - as above

    return Config(parameter_validation=False, retries={"total_max_attempts": 1})


def test_a_request_of_the_record_is_what_came(aws: EksServer, eks: Cloud) -> None:
    aws.add_pool("web", 1)
    eks.set_size(there(eks), 1)
    (sent,) = aws.asked(UPDATE)
    assert sent.path == "/clusters/prod/node-groups/web/update-config"
    assert json.loads(sent.body) == sent.json
