"""An autoscaler that knows the provider by its description alone, and the hosts of the lab."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from tests.clients.externalgrpc import Autoscaler, KubeNode, quantities, taints
from tests.clients.externalgrpc_generations import Generation
from tests.clients.externalgrpc_wire import METHODS
from tests.servers.autoscaler import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.long

POOLS = {"web": {"max": 2, "labels": {"disk": "ssd"}, "taints": ["dedicated=web:NoSchedule"]}}
HOSTS = ("n1", "n2", "n3")
# What an autoscaler puts on a node that it is about to delete.
LEAVING = "ToBeDeletedByClusterAutoscaler=1:NoSchedule"
SECONDS = 120


class Driven(NamedTuple):
    cluster: Cluster
    server: Server

    def nodes(self) -> list[KubeNode]:
        """Return the Nodes as an autoscaler tells of them."""
        return [
            KubeNode(name, one["spec"].get("providerID", ""), one["metadata"]["labels"])
            for name, one in self.cluster.nodes().items()
        ]

    def group(self, name: str) -> set[str]:
        tree = YAML(typ="safe", pure=True).load(self.cluster.inventory.read_text())
        return set(tree["all"]["children"][name]["hosts"] or {})


@pytest.fixture(scope="module")
def driven(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    cluster.pristine()
    variables = cluster.variables.read_bytes()
    yaml = YAML()
    tree: Any = yaml.load(cluster.inventory.read_text())
    for name in HOSTS:
        tree["all"]["children"]["standby"]["hosts"][name]["pool"] = "web"
    server = Server(cluster.where.name, tmp_path_factory.mktemp("server"), cluster.environment)
    try:
        with cluster.inventory.open("w") as file:
            yaml.dump(tree, file)
        cluster.variables.write_bytes(variables + f"\npools: {json.dumps(POOLS)}\n".encode())
        server.start()
        yield Driven(cluster, server)
    finally:
        if server.process and server.process.poll() is None:
            server.stop()
        cluster.inventory.write_bytes(cluster.baseline)
        cluster.variables.write_bytes(variables)
        cluster.pristine()


@pytest.fixture(scope="module")
def autoscaler(driven: Driven) -> Iterator[Autoscaler]:
    with driven.server.autoscaler() as made:
        yield made


def machines(autoscaler: Autoscaler) -> dict[str, str]:
    """Return the states of the group's machines; none may have failed."""
    found = autoscaler.instances("web")
    assert [one for one in found if one.failed] == []
    return {one.id: one.state for one in found}


def a_cluster_without_workers_is_a_group_of_none(driven: Driven, autoscaler: Autoscaler) -> None:
    seen = autoscaler.look(driven.nodes())
    assert {group.id: (group.min, group.max) for group in seen.groups.values()} == {"web": (0, 2)}
    assert (seen.targets, seen.instances, seen.group_of) == ({"web": 0}, {"web": []}, {"m1": ""})


def nodes_come_to_two_who_ask_at_once(driven: Driven, autoscaler: Autoscaler) -> None:
    with (
        driven.server.autoscaler(Generation.OLD) as old,
        driven.server.autoscaler(Generation.BOTH) as newer,
        ThreadPoolExecutor(2) as pool,
    ):
        list(pool.map(lambda one: one.increase("web", 1), (old, newer)))
        assert old.target("web") == newer.target("web") == 2
    coming = set(machines(autoscaler))
    assert len(coming) == 2
    driven.server.until(lambda: machines(autoscaler) == dict.fromkeys(coming, "running"), SECONDS)
    driven.server.until(lambda: {one.provider_id for one in driven.nodes()} >= coming)
    come = {one.name: one for one in driven.nodes() if one.provider_id}
    assert driven.group("workers") == set(come)
    assert set(come) < set(HOSTS)
    seen = autoscaler.look(driven.nodes())
    assert seen.unregistered == {"web": []}
    assert seen.group_of == {"m1": "", **dict.fromkeys(come, "web")}


def a_template_is_what_came(driven: Driven, autoscaler: Autoscaler) -> None:
    name = min(driven.group("workers"))
    there = driven.cluster.nodes()[name]
    ours = {"disk": "ssd", "scaler.dev/pool": "web"}
    driven.server.until(lambda: autoscaler.fresh().template("web"))
    template = autoscaler.template("web")
    assert ours.items() <= dict(template.metadata.labels).items()
    assert ours.items() <= there["metadata"]["labels"].items()
    assert taints(template) == {"dedicated=web:NoSchedule"}
    assert {"key": "dedicated", "value": "web", "effect": "NoSchedule"} in there["spec"]["taints"]
    for kind in ("cpu", "memory", "pods"):
        assert quantities(template.status.capacity)[kind] == there["status"]["capacity"][kind]
        assert quantities(template.status.allocatable)[kind] == there["status"]["allocatable"][kind]


def a_node_goes_and_its_host_waits_again(driven: Driven, autoscaler: Autoscaler) -> None:
    gone, kept = sorted((one for one in driven.nodes() if one.provider_id), key=lambda one: one.name)
    driven.cluster.kubectl("taint", "nodes", gone.name, LEAVING)
    autoscaler.delete("web", [gone])
    assert autoscaler.target("web") == 1
    assert machines(autoscaler) == {gone.provider_id: "deleting", kept.provider_id: "running"}
    driven.server.until(lambda: machines(autoscaler) == {kept.provider_id: "running"}, SECONDS)
    assert set(driven.cluster.nodes()) == {"m1", kept.name}
    assert driven.group("workers") == {kept.name}
    assert gone.name in driven.group("standby")


def every_other_call_is_answered(driven: Driven, autoscaler: Autoscaler) -> None:
    (kept,) = (one for one in driven.nodes() if one.provider_id)
    autoscaler.increase("web", 1)
    autoscaler.delete_failed(autoscaler.look(driven.nodes()))
    (coming,) = (one for one in autoscaler.instances("web") if one.state == "creating")
    driven.server.until(lambda: machines(autoscaler).get(coming.id) == "running", SECONDS)
    assert (autoscaler.node_price(kept, 0, 3600), autoscaler.pod_price("p", 0, 3600)) == (None, None)
    assert (autoscaler.gpu_label(), autoscaler.gpu_types()) == ("accelerator", set())
    with pytest.raises(Exception, match="FAILED_PRECONDITION"):
        autoscaler.decrease("web", -1)
    autoscaler.cleanup()


def test_every_call_is_answered_and_the_labs_nodes_follow(driven: Driven, autoscaler: Autoscaler) -> None:
    a_cluster_without_workers_is_a_group_of_none(driven, autoscaler)
    nodes_come_to_two_who_ask_at_once(driven, autoscaler)
    a_template_is_what_came(driven, autoscaler)
    a_node_goes_and_its_host_waits_again(driven, autoscaler)
    every_other_call_is_answered(driven, autoscaler)
    assert set(autoscaler.calls.made) == set(METHODS)
    assert driven.server.stop() == 0
