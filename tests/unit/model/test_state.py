from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from scaler.model.state import ClusterState, Csr, Node

TOLD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1", "uid": "u", "creationTimestamp": "2026-03-01T02:00:00Z", "managedFields": [{"a": 1}]},
    "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]},
    "status": {
        "conditions": [
            {"type": "MemoryPressure", "status": "False"},
            {"type": "Ready", "status": "True", "message": "well", "lastHeartbeatTime": "2026-03-01T02:00:05Z"},
        ],
        "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.11"}],
        "nodeInfo": {"machineID": "m", "systemUUID": "S", "kubeletVersion": "v1.20.2", "osImage": "x"},
    },
}


def test_a_node_is_read_and_what_decides_nothing_is_left_out() -> None:
    node = Node.model_validate(TOLD)
    assert (node.name, node.spec.pod_cidr, node.internal_ip) == ("n1", "10.244.1.0/24", "10.0.0.11")
    assert (node.status.info.machine_id, node.status.info.system_uuid) == ("m", "S")
    assert node.ready
    assert node.heartbeat == datetime(2026, 3, 1, 2, 0, 5, tzinfo=UTC)
    assert not node.spec.unschedulable


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_node_is_ready_only_when_its_condition_is_true(status: str) -> None:
    ready = {"type": "Ready", "status": status, "message": "cni plugin not initialized"}
    node = Node.model_validate({**TOLD, "status": {"conditions": [ready]}})
    assert not node.ready
    assert node.why_not_ready == "cni plugin not initialized"
    assert node.heartbeat is None


def test_a_node_nobody_has_reported_for_is_not_ready_and_has_no_address() -> None:
    node = Node.model_validate({"metadata": {"name": "n1"}})
    assert not node.ready
    assert node.why_not_ready == "the kubelet has not reported"
    assert node.internal_ip == ""


def test_an_object_without_a_name_is_none() -> None:
    with pytest.raises(ValidationError):
        Node.model_validate({"metadata": {}})


@pytest.mark.parametrize("decision", ["Approved", "Denied", "Failed"])
def test_a_request_is_pending_until_somebody_decides(decision: str) -> None:
    told: dict[str, Any] = {"metadata": {"name": "csr-1"}, "spec": {"request": "", "signerName": "s"}}
    assert Csr.model_validate(told).pending
    assert not Csr.model_validate({**told, "status": {"conditions": [{"type": decision}]}}).pending


def test_a_cluster_knows_its_nodes_by_name() -> None:
    state = ClusterState(server_version="1.20.2", nodes=(Node.model_validate(TOLD),))
    assert state.node("n1") is state.nodes[0]
    assert state.node("n2") is None
