from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from scaler.gateways.externalgrpc.messages import COMPILED, SERVICE, message, methods
from scaler.gateways.externalgrpc.node import marshalled
from scaler.plan.node_template import template
from tests.fakes.fleet import NOW, Fleet


def test_the_compiled_definition_is_that_of_the_sources(tmp_path: Path) -> None:
    made = tmp_path / "made.binpb"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    sources = [f"-I{COMPILED.parent}", f"-I{well_known}", "externalgrpc.proto", "node.proto"]
    assert protoc.main(["protoc", "--include_imports", f"--descriptor_set_out={made}", *sources]) == 0
    if os.environ.get("SCALER_UPDATE_GOLDEN"):
        COMPILED.write_bytes(made.read_bytes())
    assert FileDescriptorSet.FromString(COMPILED.read_bytes()) == FileDescriptorSet.FromString(made.read_bytes())


def test_the_service_has_its_published_name_and_calls() -> None:
    assert SERVICE == "clusterautoscaler.cloudprovider.v1.externalgrpc.CloudProvider"
    assert len(methods()) == 15


def on_wire(name: str, **fields: Any) -> bytes:
    return bytes(message(name)(**fields).SerializeToString())


def test_fields_have_their_published_numbers() -> None:
    assert on_wire("NodeGroupIncreaseSizeRequest", delta=3, id="web") == b"\x08\x03\x12\x03web"
    assert on_wire("NodeGroup", id="w", minSize=1, maxSize=2, debug="d") == b"\x0a\x01w\x10\x01\x18\x02\x22\x01d"
    error = {"errorCode": "c", "errorMessage": "m", "instanceErrorClass": 99}
    status = {"instanceState": 2, "errorInfo": error}
    assert on_wire("Instance", id="i", status=status).hex() == "0a016912" + "0c" + "080212080a01631201" + "6d1863"


def test_both_generations_of_a_template_are_told_at_once() -> None:
    both = on_wire("NodeGroupTemplateNodeInfoResponse", nodeInfo=b"old", nodeBytes=b"new")
    assert both == b"\x0a\x03old\x12\x03new"


def test_options_of_both_generations_come_back_as_they_were() -> None:
    # scaleDownUnneededTime as a message of Kubernetes', scaleDownUnneededDuration as one of protobuf's.
    sent = bytes.fromhex("09000000000000e03f" + "1a050880d0acf30e".ljust(14, "0")[:14] + "4203" + "08d804")
    options = message("NodeGroupAutoscalingOptions").FromString(sent)
    assert options.scaleDownUtilizationThreshold == 0.5
    assert options.scaleDownUnneededDuration.seconds == 600
    assert options.SerializeToString() == sent


def test_a_template_is_marshalled_as_kubernetes_would() -> None:
    made = template(Fleet().look(), "web")
    assert made is not None
    node = message("Node", "scaler.kubernetes").FromString(marshalled(made, NOW))
    assert node.metadata.labels["scaler.dev/pool"] == "web"
    assert [(taint.key, taint.value, taint.effect) for taint in node.spec.taints] == [
        ("dedicated", "web", "NoSchedule")
    ]
    assert node.status.allocatable["memory"].string == "8Gi"
    assert [(condition.type, condition.status) for condition in node.status.conditions] == [("Ready", "True")]
    # metadata is field 1, its name field 1: the first bytes of every Node.
    assert marshalled(made, NOW)[:1] == b"\x0a"
