from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from scaler.model.inventory import Host
from scaler.model.machine_pools import MachinePool, PoolTaint, carried
from scaler.model.state import Node
from tests.fakes import world

if TYPE_CHECKING:
    from pathlib import Path

WEB = {
    "min": 1,
    "max": 4,
    "labels": {"disk": "ssd"},
    "taints": ["dedicated=web:NoSchedule"],
    "cpu": 8,
    "memory": "32Gi",
}


def pool(**more: Any) -> MachinePool:
    return MachinePool.model_validate({**WEB, **more})


def test_a_pool_is_read_as_an_operator_writes_it() -> None:
    web = pool()
    assert (web.min, web.max, web.labels, web.cpu, web.memory) == (1, 4, {"disk": "ssd"}, "8", "32Gi")
    assert web.taints == (PoolTaint(key="dedicated", value="web", effect="NoSchedule"),)


def test_a_pool_that_says_nothing_has_no_bounds() -> None:
    nothing = MachinePool.model_validate({})
    assert (nothing.min, nothing.max, nothing.labels, nothing.taints) == (0, None, {}, ())


def test_what_was_dumped_is_read_again() -> None:
    assert MachinePool.model_validate(pool().model_dump(mode="json")) == pool()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"min": 5}, "min 5 is more than max 4"),
        ({"min": -1}, "min"),
        ({"labels": {"a b": "c"}}, "is not a label's key"),
        ({"labels": {"a": "b c"}}, "is not a label's value"),
        ({"labels": {"a": "x" * 64}}, "is not a label's value"),
        ({"labels": {"kubernetes.io/hostname": "x"}}, "it is the Node's name"),
        ({"labels": {"topology.kubernetes.io/zone": "x"}}, "failure_domain"),
        ({"labels": {"node-role.kubernetes.io/control-plane": ""}}, "it makes a master"),
        ({"labels": {"scaler.dev/pool": "x"}}, "scaler's own"),
        ({"taints": ["dedicated"]}, "is not a taint, like"),
        ({"taints": ["dedicated=web:Never"]}, "effect"),
        ({"cpu": "many"}, "is not a quantity"),
        ({"memory": "32 GB"}, "is not a quantity"),
        ({"maximum": 4}, "maximum"),
    ],
)
def test_a_mistake_is_told(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        pool(**more)


@pytest.mark.parametrize("name", ["web-", "w" * 64, "Web", "web pool"])
def test_a_pool_and_a_failure_domain_are_also_values_of_labels(name: str) -> None:
    for field in ("pool", "failure_domain"):
        with pytest.raises(ValidationError):
            Host.model_validate({"name": "n1", "connection": {"address": "10.0.0.1"}, field: name})


def test_a_node_carries_its_pool_and_its_failure_domain() -> None:
    both = carried({"web": pool()}, "web", "rack-2")
    assert both.labels == {"scaler.dev/pool": "web", "disk": "ssd", "topology.kubernetes.io/zone": "rack-2"}
    assert [taint.told for taint in both.taints] == ["dedicated=web:NoSchedule"]
    assert carried({}, None, None).labels == {}


def test_what_a_node_has_not_got_is_told_in_kubectls_words() -> None:
    told: dict[str, Any] = {"metadata": {"name": "n1", "labels": {"scaler.dev/pool": "web", "disk": "hdd"}}}
    both = carried({"web": pool()}, "web", None)
    assert both.missing(Node.model_validate(told)) == ["label disk=ssd", "taint dedicated=web:NoSchedule"]
    told["metadata"]["labels"]["disk"] = "ssd"
    told["spec"] = {"taints": [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}]}
    assert both.missing(Node.model_validate(told)) == []


def test_a_pool_that_the_cluster_has_not_got_is_refused_with_the_host(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"host n1: pool: 'wbe' is not one of the cluster's pools \(web\)"):
        world.cluster(tmp_path, standby=(placed("n1", 11, pool="wbe"),), pools={"web": WEB})


def test_who_waits_and_who_works_is_told_by_pool_and_without_other_duties(tmp_path: Path) -> None:
    m1, lb = world.host("m1", 1), placed("lb1", 9, pool="web")
    n1, n2, n3 = placed("n1", 11, pool="web"), placed("n2", 12), placed("n3", 13, pool="web")
    groups = {"masters": (m1,), "workers": (m1, n1, n2), "standby": (lb, n3), "loadbalancers": (lb,)}
    cluster = world.cluster(tmp_path, pools={"web": WEB}, **groups)
    assert cluster.waiting() == cluster.waiting("web") == (n3,)
    assert (cluster.working(), cluster.working("web")) == ((n1, n2), (n1,))


def placed(name: str, number: int, **more: str) -> Host:
    return world.host(name, number).model_copy(update=more)
