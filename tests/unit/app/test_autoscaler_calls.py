"""The server as the autoscaler meets it: gRPC over TLS on loopback, with machines that are a program."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from scaler.app import autoscaler_certificates
from scaler.app.autoscaler_calls import Answers
from scaler.app.autoscaler_groups import Groups
from scaler.app.autoscaler_metrics import Counters
from scaler.engine.journal import STATE_VARIABLE
from scaler.engine.ledger import Book
from scaler.gateways.clock import SystemClock
from scaler.gateways.externalgrpc.messages import message
from scaler.gateways.externalgrpc.server import Certificates, listening
from tests.fakes.autoscaler import Client, channel
from tests.fakes.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served:
    def __init__(self, fleet: Fleet, state: Path) -> None:
        self.fleet = fleet
        fleet.now = datetime.now(UTC)
        self.groups = Groups(Book("prod"), SystemClock())
        self.groups.saw(fleet.look())
        self.counters = Counters()
        self.woken = 0
        self.pki = state / "pki"
        autoscaler_certificates.make(self.pki, ["127.0.0.1"], datetime.now(UTC))

    def wake(self) -> None:
        self.woken += 1

    @contextmanager
    def at(self, *, tls: bool = True) -> Iterator[int]:
        files = Certificates(*(self.pki / name for name in ("server.crt", "server.key", "ca.crt")))
        answers = Answers(self.groups, SystemClock(), self.wake)
        with listening("127.0.0.1:0", files if tls else None, answers, self.counters.call) as port:
            yield port

    @contextmanager
    def called(self) -> Iterator[Client]:
        with self.at() as port, channel(port, self.pki) as found:
            yield Client(found)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    return Served(Fleet(working=("web-1", "web-2")), tmp_path)


def node(name: str, **more: Any) -> Any:
    return message("ExternalGrpcNode")(**{"name": name, "providerID": f"scaler://prod/{name}", **more})


def test_groups_are_the_pools_with_their_bounds(served: Served) -> None:
    with served.called() as call:
        told = call("NodeGroups").nodeGroups
    assert [(each.id, each.minSize, each.maxSize) for each in told] == [("web", 1, 4), ("batch", 0, 3)]
    assert told[0].debug == "pool web of cluster prod: 2 running, 0 creating, 0 deleting"


def test_a_node_is_of_its_group_and_a_strangers_of_none(served: Served) -> None:
    with served.called() as call:
        assert call("NodeGroupForNode", node=node("web-1")).nodeGroup.id == "web"
        assert call("NodeGroupForNode", node=node("m1", providerID="")).nodeGroup.id == ""


def test_an_increase_is_seen_at_once_by_every_call(served: Served) -> None:
    with served.called() as call:
        call("NodeGroupIncreaseSize", id="web", delta=2)
        assert call("NodeGroupTargetSize", id="web").targetSize == 4
        machines = {each.id: each.status.instanceState for each in call("NodeGroupNodes", id="web").instances}
        assert machines == {f"scaler://prod/web-{n}": 1 if n < 3 else 2 for n in (1, 2, 3, 4)}
        call("NodeGroupDecreaseTargetSize", id="web", delta=-2)
        assert call("NodeGroupTargetSize", id="web").targetSize == 2
    assert served.woken == 1


def test_an_increase_is_on_the_disk_when_it_is_answered(served: Served) -> None:
    with served.called() as call:
        call("NodeGroupIncreaseSize", id="web", delta=1)
    assert [wish.host for wish in Book("prod").ledger.wishes] == ["web-3"]


def test_a_delete_is_seen_as_deleting_and_no_longer_counted(served: Served) -> None:
    with served.called() as call:
        call("NodeGroupDeleteNodes", id="web", nodes=[node("web-2")])
        assert call("NodeGroupTargetSize", id="web").targetSize == 1
        states = {each.id[-5:]: each.status.instanceState for each in call("NodeGroupNodes", id="web").instances}
        assert states == {"web-1": 1, "web-2": 3}
        assert call.refused("NodeGroupDeleteNodes", id="web", nodes=[node("web-1")])[0] == "FAILED_PRECONDITION"


def test_each_refusal_has_its_status_and_reason(served: Served) -> None:
    with served.called() as call:
        assert call.refused("NodeGroupTargetSize", id="nobody") == ("NOT_FOUND", "cluster prod has no pool 'nobody'")
        assert call.refused("NodeGroupIncreaseSize", id="web", delta=3)[0] == "OUT_OF_RANGE"
        assert call.refused("NodeGroupIncreaseSize", id="web", delta=-1)[0] == "INVALID_ARGUMENT"
        assert call.refused("NodeGroupDecreaseTargetSize", id="web", delta=-1)[0] == "FAILED_PRECONDITION"
        assert call.refused("NodeGroupDeleteNodes", id="batch", nodes=[node("web-1")])[0] == "INVALID_ARGUMENT"
        call("NodeGroupIncreaseSize", id="batch", delta=3)
        for method in ("NodeGroupTargetSize", "NodeGroupNodes", "NodeGroupTemplateNodeInfo", "NodeGroupGetOptions"):
            assert call.refused(method, id="nobody")[0] == "NOT_FOUND"


def test_a_standby_that_is_too_small_tells_the_class_of_its_error(served: Served) -> None:
    served.fleet.names.remove("web-4")
    served.groups.saw(served.fleet.look())
    with served.called() as call:
        call("NodeGroupIncreaseSize", id="web", delta=2)
        states = [each.status for each in call("NodeGroupNodes", id="web").instances]
        broken = [status.errorInfo for status in states if status.HasField("errorInfo")]
        assert [(error.errorCode, error.instanceErrorClass) for error in broken] == [("out-of-standby", 1)]


def test_no_host_on_standby_at_all_is_said_to_the_caller(served: Served) -> None:
    served.fleet.names = [name for name in served.fleet.names if name not in {"web-3", "web-4"}]
    served.groups.saw(served.fleet.look())
    with served.called() as call:
        assert call.refused("NodeGroupIncreaseSize", id="web", delta=1)[0] == "RESOURCE_EXHAUSTED"


def test_a_template_is_the_same_for_both_generations(served: Served) -> None:
    with served.called() as call:
        told = call("NodeGroupTemplateNodeInfo", id="web")
        assert told.nodeInfo == told.nodeBytes
        made = message("Node", "scaler.kubernetes").FromString(told.nodeBytes)
        assert made.status.allocatable["cpu"].string == "4"
        assert (made.status.capacity["memory"].string, made.status.allocatable["memory"].string) == ("9Gi", "8Gi")


def test_a_pool_of_which_nothing_is_known_has_no_template(served: Served) -> None:
    served.fleet.pools = {"web": {}, "batch": {}}
    served.groups.saw(served.fleet.look())
    with served.called() as call:
        assert call.refused("NodeGroupTemplateNodeInfo", id="batch")[0] == "UNIMPLEMENTED"


def test_options_are_the_autoscalers_own(served: Served) -> None:
    defaults = message("NodeGroupAutoscalingOptions")(
        scaleDownUtilizationThreshold=0.5, scaleDownUnneededTime=b"\x08\x01"
    )
    defaults.MaxNodeProvisionDuration.seconds = 900
    with served.called() as call:
        for sent in ({}, {"defaults": defaults}):
            assert not call("NodeGroupGetOptions", id="web", **sent).HasField("nodeGroupAutoscalingOptions")


def test_what_is_optional_is_said_to_be(served: Served) -> None:
    with served.called() as call:
        assert call.refused("PricingNodePrice")[0] == "UNIMPLEMENTED"
        assert call.refused("PricingPodPrice")[0] == "UNIMPLEMENTED"
        assert call("GPULabel").label == "accelerator"
        assert dict(call("GetAvailableGPUTypes").gpuTypes) == {}
        call("Refresh")
        call("Cleanup")
    assert served.woken == 1


def test_accelerators_are_those_of_the_pools_labels(served: Served) -> None:
    served.fleet.pools = {"web": {}, "batch": {"labels": {"accelerator": "a100"}}}
    served.groups.saw(served.fleet.look())
    with served.called() as call:
        assert list(call("GetAvailableGPUTypes").gpuTypes) == ["a100"]


def test_increases_at_once_never_share_a_host_nor_pass_the_max(served: Served) -> None:
    codes: list[str] = []

    def one(call: Client) -> None:
        try:
            call("NodeGroupIncreaseSize", id="batch", delta=1)
            codes.append("OK")
        except grpc.RpcError as e:
            told: Any = e
            codes.append(told.code().name)

    with served.called() as call:
        threads = [threading.Thread(target=one, args=(call,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == ["OK"] * 3 + ["OUT_OF_RANGE"] * 5
        assert len({each.id for each in call("NodeGroupNodes", id="batch").instances}) == 3


def test_nothing_is_built_on_what_was_seen_long_ago(served: Served) -> None:
    served.fleet.now -= timedelta(minutes=3)
    served.groups.saw(served.fleet.look())
    served.groups.trouble = "the API server does not answer"
    with served.called() as call:
        status, why = call.refused("NodeGroupIncreaseSize", id="web", delta=1)
        assert (status, "the API server does not answer" in why) == ("UNAVAILABLE", True)
        assert call("NodeGroupTargetSize", id="web").targetSize == 2


def test_a_ledger_that_cannot_be_written_refuses(served: Served, tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir(exist_ok=True)
    (tmp_path / "prod" / "autoscaler.json").mkdir()
    with served.called() as call:
        assert call.refused("NodeGroupIncreaseSize", id="web", delta=1)[0] == "UNAVAILABLE"
        assert call("NodeGroupTargetSize", id="web").targetSize == 2


def test_who_shows_no_certificate_or_a_strangers_is_refused(served: Served, tmp_path: Path) -> None:
    autoscaler_certificates.make(tmp_path / "strangers", ["127.0.0.1"], datetime.now(UTC))
    with served.at() as port:
        ours = served.pki / "ca.crt"
        strangers = channel(port, served.pki, client=tmp_path / "strangers")
        nobody = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ours.read_bytes()))
        plain = grpc.insecure_channel(f"127.0.0.1:{port}")
        misled = channel(port, served.pki, ca=tmp_path / "strangers" / "ca.crt")
        for wrong in (strangers, nobody, plain, misled):
            with wrong:
                assert Client(wrong).refused("NodeGroups")[0] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
        with channel(port, served.pki) as right:
            assert Client(right)("NodeGroups").nodeGroups


def test_certificates_that_are_renewed_hold_for_the_next_connection(served: Served) -> None:
    with served.at() as port:
        with channel(port, served.pki) as before:
            Client(before)("NodeGroups")
        (served.pki / "ca.crt").unlink()
        (served.pki / "ca.key").unlink()
        autoscaler_certificates.make(served.pki, ["127.0.0.1"], datetime.now(UTC))
        with channel(port, served.pki) as after:
            assert Client(after)("NodeGroups").nodeGroups


def test_calls_are_counted(served: Served) -> None:
    with served.called() as call:
        call("NodeGroups")
        call.refused("NodeGroupTargetSize", id="nobody")
    told = served.counters.samples()["calls_total"]
    assert ((("method", "NodeGroups"), ("code", "OK")), 1.0) in told
    assert ((("method", "NodeGroupTargetSize"), ("code", "NOT_FOUND")), 1.0) in told
