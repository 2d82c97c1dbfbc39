"""The provider for the Cluster Autoscaler, asked as the description says: every call, every refusal, who may call."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import httpx2 as httpx
import pytest

from tests.clients.externalgrpc import (
    CREATE_ERROR,
    Autoscaler,
    Instance,
    KubeNode,
    quantities,
    taints,
)
from tests.clients.externalgrpc_generations import Generation, Options
from tests.clients.externalgrpc_wire import MESSAGES, METHODS, OPTIONAL, SERVICE, enveloped, node, opened
from tests.servers.autoscaled import Served
from tests.servers.autoscaler import credentials, stranger, without_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.kubernetes import ApiServer

pytestmark = pytest.mark.cloud
every_generation = pytest.mark.parametrize("generation", list(Generation), ids=lambda generation: generation.name)
Code = grpc.StatusCode
PROTOBUF = {"Accept": "application/vnd.kubernetes.protobuf", "Content-Type": "application/vnd.kubernetes.protobuf"}
BEGIN, END = 1_800_000_000, 1_800_003_600
BY_GROUP = [method for method in METHODS if method.startswith("NodeGroup") and method[9:] not in {"s", "ForNode"}]


@pytest.fixture(scope="module")
def served(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that no test of this module brings to a change."""
    with Served(api_server, tmp_path_factory.mktemp("served")) as made:
        made.until(lambda: made.node("w1").provider_id)
        yield made
        assert not made.runs()


@pytest.fixture
def autoscaler(served: Served) -> Iterator[Autoscaler]:
    with served.autoscaler() as made:
        yield made


def refusal(call: Callable[..., object], *args: Any, **fields: Any) -> grpc.StatusCode:
    """Return how a call was refused."""
    with pytest.raises(grpc.RpcError) as refused:
        call(*args, **fields)
    code: grpc.StatusCode = refused.value.code()
    return code


@every_generation
def test_a_turn_of_the_main_loop_finds_pools_machines_and_nodes(served: Served, generation: Generation) -> None:
    with served.autoscaler(generation) as autoscaler:
        seen = autoscaler.look(served.nodes())
        assert autoscaler.calls.made[:2] == ["Refresh", "NodeGroups"]
    assert {(group.id, group.min, group.max) for group in seen.groups.values()} == {("web", 1, 4), ("batch", 0, 1)}
    assert seen.targets == {"web": 1, "batch": 0}
    assert seen.instances == {"web": [Instance("scaler://prod/w1", "running")], "batch": []}
    assert seen.group_of == {"m1": "", "w1": "web"}
    assert seen.unregistered == {"web": [], "batch": []}


def test_every_method_of_the_description_is_there(autoscaler: Autoscaler) -> None:
    absent = set()
    for method in METHODS:
        try:
            autoscaler.calls(method)
        except grpc.RpcError as e:
            if e.code() is Code.UNIMPLEMENTED:
                absent.add(method)
    assert absent <= set(OPTIONAL)


@pytest.mark.parametrize(
    "path", [f"/{SERVICE}/NodeGroupCreate", f"/{SERVICE.replace('v1', 'v2')}/Refresh", "/Refresh", "/"]
)
def test_what_is_no_method_is_unimplemented(autoscaler: Autoscaler, path: str) -> None:
    assert refusal(autoscaler.calls.raw, path) is Code.UNIMPLEMENTED


def test_bytes_that_are_no_message_are_refused_and_do_no_harm(autoscaler: Autoscaler) -> None:
    for garbage in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xc3\x28"):
        code = refusal(autoscaler.calls.raw, f"/{SERVICE}/NodeGroupTargetSize", garbage)
        assert code in {Code.INTERNAL, Code.INVALID_ARGUMENT, Code.UNKNOWN}
    assert autoscaler.target("web") == 1


def test_a_field_that_the_server_does_not_know_is_passed_over(autoscaler: Autoscaler) -> None:
    request = MESSAGES["NodeGroupTargetSizeRequest"](id="web").SerializeToString()
    answer = autoscaler.calls.raw(f"/{SERVICE}/NodeGroupTargetSize", request + b"\xfa\x06\x02hi")
    assert MESSAGES["NodeGroupTargetSizeResponse"].FromString(answer).targetSize == 1


@every_generation
def test_a_template_is_the_node_that_a_machine_will_be(served: Served, generation: Generation) -> None:
    with served.autoscaler(generation) as autoscaler:
        template = autoscaler.template("web")
    labels = dict(template.metadata.labels)
    assert labels.items() >= {"disk": "ssd", "scaler.dev/pool": "web", "kubernetes.io/os": "linux"}.items()
    assert {"kubernetes.io/hostname", "kubernetes.io/arch"} <= set(labels)
    assert taints(template) == {"dedicated=web:NoSchedule"}
    capacity, allocatable = quantities(template.status.capacity), quantities(template.status.allocatable)
    assert (capacity["cpu"], capacity["memory"]) == ("8", "32Gi")
    assert set(allocatable) == set(capacity) >= {"cpu", "memory", "pods"}
    assert {c.type: c.status for c in template.status.conditions}["Ready"] == "True"
    assert not template.spec.unschedulable


def test_a_real_api_server_takes_the_template_as_a_node(served: Served, autoscaler: Autoscaler) -> None:
    template = autoscaler.template("web")
    template.metadata.name = "out-of-the-template"
    told = served.http.post("/api/v1/nodes", content=enveloped(template.SerializeToString()), headers=PROTOBUF)
    try:
        assert told.status_code == httpx.codes.CREATED, told.content
        made = served.http.get("/api/v1/nodes/out-of-the-template").json()
    finally:
        served.http.delete("/api/v1/nodes/out-of-the-template")
    assert made["metadata"]["labels"]["disk"] == "ssd"
    assert made["spec"]["taints"] == [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}]
    assert made["status"]["capacity"].items() >= {"cpu": "8", "memory": "32Gi"}.items()


def test_the_client_reads_a_node_as_a_real_api_server_writes_it(served: Served) -> None:
    told = served.http.get("/api/v1/nodes/w1", headers=PROTOBUF).raise_for_status()
    read = node(opened(told.content))
    assert (read.metadata.name, read.metadata.labels["disk"]) == ("w1", "ssd")
    assert (read.spec.providerID, quantities(read.status.capacity)["memory"]) == ("scaler://prod/w1", "7Gi")
    assert {c.type: c.status for c in read.status.conditions}["Ready"] == "True"


def test_of_a_pool_that_nobody_knows_there_is_no_template(autoscaler: Autoscaler) -> None:
    assert autoscaler.template("batch") is None


@every_generation
def test_what_the_autoscaler_was_told_holds_for_every_group(served: Served, generation: Generation) -> None:
    # One that has no field for an option takes nothing for it as soon as a provider says anything.
    defaults = Options(0.7, 0.6, 61.5, 62, 63, 64, zero_or_max=True, ignore_daemon_sets=True, partial=True)
    with served.autoscaler(generation) as autoscaler:
        for group in ("web", "batch"):
            assert (autoscaler.options(group, defaults) or defaults) == defaults


def test_accelerators_are_told_once(autoscaler: Autoscaler) -> None:
    for _ in range(2):
        assert autoscaler.gpu_label() == "accelerator"
        assert autoscaler.gpu_types() == {"nvidia-t4"}
    assert sorted(autoscaler.calls.made) == ["GPULabel", "GetAvailableGPUTypes"]


@every_generation
def test_there_are_no_prices(served: Served, generation: Generation) -> None:
    with served.autoscaler(generation) as autoscaler:
        assert autoscaler.node_price(served.node("w1"), BEGIN, END) is None
        assert autoscaler.pod_price("p", BEGIN, END) is None


def test_an_autoscaler_that_ends_does_not_end_the_server(served: Served, autoscaler: Autoscaler) -> None:
    autoscaler.cleanup()
    with served.autoscaler() as another:
        assert another.look().targets["web"] == 1


@pytest.mark.parametrize(
    ("node", "group"),
    [
        (KubeNode("w1", "scaler://prod/w1"), "web"),
        (KubeNode("w1"), "web"),
        (KubeNode("scaler://prod/w1", "scaler://prod/w1"), "web"),
        (Instance("scaler://prod/w1", "creating").fake(CREATE_ERROR), "web"),
        (KubeNode("w1", "aws:///eu-1/i-1"), ""),
        (KubeNode("w1", "scaler://another/w1"), ""),
        (KubeNode("m1", "scaler://prod/m1"), ""),
        (KubeNode("nobody"), ""),
        (KubeNode("s1", "scaler://prod/s1"), ""),
        (KubeNode("nobody", labels={"scaler.dev/pool": "web"}), ""),
    ],
)
def test_a_node_is_of_the_group_of_its_machine(autoscaler: Autoscaler, node: KubeNode, group: str) -> None:
    found = autoscaler.group_of(node)
    assert (found.id if found else "") == group


def test_a_node_is_asked_for_once_between_two_refreshes(served: Served, autoscaler: Autoscaler) -> None:
    for _ in range(3):
        autoscaler.group_of(served.node("w1"))
    assert autoscaler.calls.made == ["NodeGroupForNode"]


@pytest.mark.parametrize("method", BY_GROUP)
@pytest.mark.parametrize("group", ["nobody", "", "Web", "web "])
def test_a_group_that_is_not_there_is_not_found(autoscaler: Autoscaler, method: str, group: str) -> None:
    fields: dict[str, Any] = {"NodeGroupIncreaseSize": {"delta": 1}, "NodeGroupDecreaseTargetSize": {"delta": -1}}
    fields["NodeGroupDeleteNodes"] = {"nodes": [KubeNode("w1", "scaler://prod/w1").told()]}
    assert refusal(autoscaler.calls, method, id=group, **fields.get(method, {})) is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("call", "argument", "code"),
    [
        ("increase", 0, Code.INVALID_ARGUMENT),
        ("increase", -1, Code.INVALID_ARGUMENT),
        ("increase", 4, Code.OUT_OF_RANGE),
        ("increase", 2**31 - 1, Code.OUT_OF_RANGE),
        ("decrease", 0, Code.INVALID_ARGUMENT),
        ("decrease", 1, Code.INVALID_ARGUMENT),
        ("decrease", -1, Code.FAILED_PRECONDITION),
        ("decrease", -(2**31), Code.FAILED_PRECONDITION),
        ("delete", [KubeNode("w1", "scaler://prod/w1")], Code.FAILED_PRECONDITION),
        ("delete", [KubeNode("m1", "scaler://prod/m1")], Code.INVALID_ARGUMENT),
        ("delete", [KubeNode("nobody")], Code.INVALID_ARGUMENT),
        ("delete", [KubeNode("s1", "scaler://prod/s1")], Code.INVALID_ARGUMENT),
        ("delete", [KubeNode("w1", "scaler://another/w1")], Code.INVALID_ARGUMENT),
        ("delete", [KubeNode("w1", "scaler://prod/w1"), KubeNode("nobody")], Code.INVALID_ARGUMENT),
    ],
)
def test_what_must_not_be_is_refused_and_changes_nothing(
    autoscaler: Autoscaler, call: str, argument: Any, code: grpc.StatusCode
) -> None:
    assert refusal(getattr(autoscaler, call), "web", argument) is code
    assert autoscaler.target("web") == 1
    assert autoscaler.instances("web") == [Instance("scaler://prod/w1", "running")]


def test_a_machine_of_another_group_is_not_deleted(autoscaler: Autoscaler) -> None:
    assert refusal(autoscaler.delete, "batch", [KubeNode("w1", "scaler://prod/w1")]) is Code.INVALID_ARGUMENT


def test_a_refusal_says_why(autoscaler: Autoscaler) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        autoscaler.increase("web", 4)
    details = refused.value.details() or ""
    assert {"web", "4"} <= set(details.replace(",", " ").split())


WRONG: dict[str, Callable[[Served], Autoscaler]] = {
    "none": lambda served: served.autoscaler(how=without_certificate()),
    "another authority's": lambda served: served.autoscaler(how=credentials(stranger())),
    "expired": lambda served: served.autoscaler(how=credentials(ends=timedelta(seconds=-1))),
    "not valid yet": lambda served: served.autoscaler(how=credentials(begins=timedelta(hours=1))),
    "plain text": lambda served: served.in_plain_text(),
}


@pytest.mark.parametrize("which", WRONG)
def test_who_shows_no_good_certificate_is_not_heard(served: Served, autoscaler: Autoscaler, which: str) -> None:
    assert autoscaler.target("web") == 1
    before = served.calls()
    with WRONG[which](served) as wrong:
        assert refusal(wrong.target, "web") is Code.UNAVAILABLE
        assert refusal(wrong.increase, "web", 1) is Code.UNAVAILABLE
    assert served.calls() == before
    assert autoscaler.target("web") == 1
