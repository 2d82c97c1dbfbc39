"""Calico's ways against the real API server with Calico's kinds installed: what a join and a leave make of the objects.

No calico-node runs here: the tests write what it writes on Nodes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.drivers.cni import Doors, calico
from scaler.drivers.cni_calico_objects import ADDRESS, CLUSTER_ID, Calico
from scaler.gateways.kube import Kubectl
from scaler.model.inventory import Cluster, Connection, Host
from tests.servers.kubernetes import running
from tests.unit import calico as manifests
from tests.unit.examples import cluster, facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scaler.model.network import Network
    from tests.servers.kubernetes import ApiServer

JsonObject = dict[str, Any]
pytestmark = pytest.mark.cloud

DRIVER = calico.DRIVER
KINDS = {
    "ippools": "IPPool",
    "bgpconfigurations": "BGPConfiguration",
    "bgppeers": "BGPPeer",
    "felixconfigurations": "FelixConfiguration",
    "blockaffinities": "BlockAffinity",
    "ipamblocks": "IPAMBlock",
    "ipamhandles": "IPAMHandle",
}
GROUP = "crd.projectcalico.org"
BASE = [manifests.daemonset(), manifests.config(), manifests.pool(ipip="CrossSubnet"), manifests.felix()]
MESH = [*BASE, manifests.bgp(mesh=True)]
SELECTED = [
    *BASE,
    manifests.bgp(mesh=False),
    manifests.peer("to-reflectors", nodeSelector="all()", peerSelector="has(route-reflector)"),
]
# m1 is the reflector of these.
EXPLICIT = [
    *BASE,
    manifests.bgp(mesh=False),
    manifests.peer("w1-m1", node="w1", peerIP="10.0.0.1", asNumber=64512),
    manifests.peer("m1-w1", node="m1", peerIP="10.0.0.21", asNumber=64512),
]


def host(name: str, number: int, **variables: Any) -> Host:
    return Host(name=name, connection=Connection(address=f"10.0.0.{number}"), variables=variables)


N1, N2 = host("n1", 31), host("n2", 32)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("calico")) as server:
        kube = Kubectl(server.kubectl, server.kubeconfig, tmp_path_factory.mktemp("cache"))
        kube.create([definition(plural, kind) for plural, kind in KINDS.items()])
        for plural in KINDS:
            kube.call(["wait", "--for=condition=Established", f"crd/{plural}.{GROUP}", "--timeout=30s"], timeout=40)
        yield server


@pytest.fixture
def kube(api: ApiServer, tmp_path: Path) -> Iterator[Kubectl]:
    """An API without an object of Calico's, and with a master and a worker."""
    kube = Kubectl(api.kubectl, api.kubeconfig, tmp_path / "cache")
    kube.create([node("m1", 1), node("w1", 21)])
    yield kube
    for plural in KINDS:
        kube.call(["delete", f"{plural}.{GROUP}", "--all", "--wait=true"])
    kube.call(["delete", "nodes", "--all", "--wait=true"])
    for kind in ("daemonsets.apps/calico-node", "configmaps/calico-config"):
        kube.call(["delete", kind, "-n", "kube-system", "--ignore-not-found"])


def definition(plural: str, kind: str) -> JsonObject:
    """Return a CustomResourceDefinition that takes every field, as the API keeps them."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Cluster", "names": names, "versions": [version]},
    }


def node(name: str, number: int, *, reflector: bool = False, ready: bool = True) -> JsonObject:
    annotations = {ADDRESS: f"10.0.0.{number}/24"}
    labels = {"kubernetes.io/hostname": name}
    if reflector:
        annotations[CLUSTER_ID] = "244.0.0.1"
        labels["route-reflector"] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": annotations, "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
    }


def doors(kube: Kubectl) -> Doors:
    known: Cluster = cluster()
    return Doors(known, kube, cast("Any", None), cast("Any", None))


def read(kube: Kubectl) -> Calico:
    network: Network = DRIVER.read(doors(kube))
    assert isinstance(network, Calico)
    return network


def names(kube: Kubectl, plural: str) -> set[str]:
    return {told["metadata"]["name"] for told in kube.get(f"{plural}.{GROUP}")}


def peers(kube: Kubectl) -> set[tuple[str, str]]:
    """Return the BGPPeers of single nodes: whose they are, and to which address."""
    found = [told["spec"] for told in kube.get(f"bgppeers.{GROUP}")]
    return {(spec["node"], spec["peerIP"]) for spec in found if "peerIP" in spec}


def marked(kube: Kubectl, name: str) -> tuple[str, str]:
    meta = kube.get("nodes", [name])[0]["metadata"]
    return meta.get("annotations", {}).get(CLUSTER_ID, ""), meta.get("labels", {}).get("route-reflector", "")


def unfit(kube: Kubectl, joining: Host) -> list[str]:
    return [said.message for said in DRIVER.unfit(read(kube), joining, facts(), ()) if not said.warning]


def test_in_a_mesh_a_join_makes_nothing_and_a_leave_leaves_nothing(kube: Kubectl) -> None:
    kube.create(MESH)
    kube.create([node("n1", 31)])
    assert read(kube).way.endswith("BGP full mesh, AS 64512, IP-in-IP across subnets, pool 10.244.0.0/16")
    assert (unfit(kube, N1), DRIVER.join(doors(kube), [N1]), peers(kube)) == ([], {}, set())
    kube.create([*manifests.block("n1", "10.244.5.0/26", "n1", "n1"), *manifests.block("w1", "10.244.6.0/26", "w1")])
    kube.delete("nodes", ["n1"])
    assert DRIVER.leave(doors(kube), [N1]) == {}
    assert names(kube, "ipamblocks") == {"10-244-6-0-26"}
    assert names(kube, "blockaffinities") == {"w1-10-244-6-0-26"}
    assert names(kube, "ipamhandles") == {"k8s-pod-network.0w1"}
    # Said twice.
    assert DRIVER.leave(doors(kube), [N1]) == {}


@pytest.mark.parametrize(
    ("pool", "way"),
    [
        (manifests.pool(ipip="Always"), "BGP full mesh, AS 64512, IP-in-IP, pool 10.244.0.0/16"),
        (manifests.pool(vxlan="CrossSubnet"), "BGP full mesh, AS 64512, VXLAN across subnets, pool 10.244.0.0/16"),
        (manifests.pool(), "BGP full mesh, AS 64512, pool 10.244.0.0/16"),
    ],
)
def test_each_tunnel_is_read_joined_and_left(kube: Kubectl, pool: JsonObject, way: str) -> None:
    kube.create([manifests.daemonset(), manifests.config(), pool, node("n1", 31)])
    assert read(kube).way.endswith(way)
    assert DRIVER.join(doors(kube), [N1]) == {}
    kube.create(manifests.block("n1", "10.244.5.0/26", "n1"))
    kube.delete("nodes", ["n1"])
    assert DRIVER.leave(doors(kube), [N1]) == {}
    assert names(kube, "ipamblocks") | names(kube, "blockaffinities") | names(kube, "bgppeers") == set()


def test_vxlan_without_bgp_has_no_peers(kube: Kubectl) -> None:
    kube.create([manifests.daemonset(), manifests.config("vxlan"), manifests.pool(vxlan="Always"), node("n1", 31)])
    network = read(kube)
    assert network.way.endswith("datastore kubernetes: VXLAN, pool 10.244.0.0/16")
    assert (network.needs.ports, DRIVER.join(doors(kube), [N1]), unfit(kube, N1)) == ({}, {}, [])


def test_policy_alone_makes_and_leaves_nothing(kube: Kubectl) -> None:
    kube.create([manifests.daemonset(), manifests.config("none"), node("n1", 31)])
    assert read(kube).way.endswith("policy only, on top of another network")
    assert (DRIVER.join(doors(kube), [N1]), DRIVER.leave(doors(kube), [N1])) == ({}, {})


def test_a_client_of_selected_reflectors_needs_no_peer_of_its_own(kube: Kubectl) -> None:
    kube.create(SELECTED)
    kube.call(["annotate", "nodes", "m1", f"{CLUSTER_ID}=244.0.0.1"])
    kube.call(["label", "nodes", "m1", "route-reflector=true"])
    kube.create([node("n1", 31)])
    assert (unfit(kube, N1), DRIVER.join(doors(kube), [N1]), peers(kube)) == ([], {}, set())
    assert read(kube).reflectors == ("m1",)
    assert "m1 is the last route reflector" in DRIVER.may_leave(read(kube), ["m1"], nodes(kube))
    assert DRIVER.may_leave(read(kube), ["w1"], nodes(kube)) == ""


def test_a_node_that_joins_is_made_a_reflector_and_then_the_other_may_leave(kube: Kubectl) -> None:
    kube.create([*SELECTED, node("r1", 2, reflector=True), node("n1", 31)])
    joining = host("n1", 31, cni_reflector=True)
    assert unfit(kube, joining) == []
    DRIVER.join(doors(kube), [joining])
    assert marked(kube, "n1") == ("244.0.0.1", "true")
    assert set(read(kube).reflectors or ()) == {"n1", "r1"}
    assert DRIVER.may_leave(read(kube), ["r1"], nodes(kube)) == ""
    DRIVER.join(doors(kube), [joining])
    kube.delete("nodes", ["n1"])
    assert DRIVER.leave(doors(kube), [joining]) == {}
    assert read(kube).reflectors == ("r1",)


def test_a_reflector_that_is_dead_is_none_that_stays(kube: Kubectl) -> None:
    kube.create([*SELECTED, node("r1", 2, reflector=True), node("r2", 3, reflector=True, ready=False)])
    assert "r1 is the last route reflector" in DRIVER.may_leave(read(kube), ["r1"], nodes(kube))


def test_without_a_reflector_a_node_would_have_nobody_to_talk_to(kube: Kubectl) -> None:
    kube.create(SELECTED)
    assert "no BGPPeer would give it anybody" in unfit(kube, N1)[0]


def test_where_each_node_has_its_own_peers_the_new_one_gets_them_both_ways(kube: Kubectl) -> None:
    kube.create([*EXPLICIT, node("n1", 31), node("n2", 32)])
    kube.call(["annotate", "nodes", "m1", f"{CLUSTER_ID}=244.0.0.1"])
    before = peers(kube)
    assert DRIVER.join(doors(kube), [N1, N2]) == {}
    both = {("n1", "10.0.0.1"), ("m1", "10.0.0.31"), ("n2", "10.0.0.1"), ("m1", "10.0.0.32")}
    assert peers(kube) == before | both
    # Said again, after a crash between the two.
    kube.delete(f"bgppeers.{GROUP}", ["scaler-m1-10-0-0-31"])
    DRIVER.join(doors(kube), [N1, N2])
    assert peers(kube) == before | both


def test_what_a_join_made_is_taken_back_and_nothing_else(kube: Kubectl) -> None:
    kube.create([*EXPLICIT, node("n1", 31), node("n2", 32)])
    kube.call(["annotate", "nodes", "m1", f"{CLUSTER_ID}=244.0.0.1"])
    DRIVER.join(doors(kube), [N1, N2])
    DRIVER.unjoin(doors(kube), N1)
    assert {pair for pair in peers(kube) if "10.0.0.31" in pair or "n1" in pair} == set()
    assert ("n2", "10.0.0.1") in peers(kube)


def test_a_node_that_leaves_takes_its_peers_with_it_also_those_that_somebody_else_made(kube: Kubectl) -> None:
    kube.create(EXPLICIT)
    kube.delete("nodes", ["w1"])
    assert DRIVER.leave(doors(kube), [host("w1", 21)]) == {}
    assert peers(kube) == set()


def test_a_block_that_another_nodes_pod_has_an_address_of_stays_and_is_told(kube: Kubectl) -> None:
    kube.create([*MESH, *manifests.block("n1", "10.244.5.0/26", "n1", "w1")])
    assert DRIVER.leave(doors(kube), [N1]) == {
        "n1": "Calico's block 10.244.5.0/26 stays, since w1 has addresses out of it"
    }
    assert names(kube, "ipamblocks") == {"10-244-5-0-26"}


def test_a_block_that_somebody_took_meanwhile_is_left_alone(kube: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    kube.create([*MESH, *manifests.block("n1", "10.244.5.0/26", "n1")])
    call = kube.call

    def late(argv: Any, **more: Any) -> str:
        if argv[:2] == ["delete", "--raw"] and "ipamblocks" in argv[2]:
            patch = json.dumps({"spec": {"affinity": "host:w1"}})
            call(["patch", f"ipamblocks.{GROUP}", "10-244-5-0-26", "--type=merge", "-p", patch])
        return call(argv, **more)

    monkeypatch.setattr(kube, "call", late)
    assert "changed meanwhile" in DRIVER.leave(doors(kube), [N1])["n1"]
    assert kube.get(f"ipamblocks.{GROUP}")[0]["spec"]["affinity"] == "host:w1"


def nodes(kube: Kubectl) -> Any:
    from scaler.gateways.kube import nodes as read_nodes  # noqa: PLC0415

    return read_nodes(kube)
