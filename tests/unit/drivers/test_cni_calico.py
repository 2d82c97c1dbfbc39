"""How Calico's way is read from manifests as users have them, and what a node lacks until calico-node has it in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scaler.drivers import cni_calico_peering as peering
from scaler.drivers.cni import calico
from scaler.drivers.cni_calico_objects import ADDRESS, CLUSTER_ID, TUNNELS
from scaler.errors import PreflightError
from scaler.model.inventory import Connection, Host
from tests.fakes.etcd import FakeEtcd
from tests.fakes.networks import ObjectsApi, doors, node
from tests.unit import calico as manifests
from tests.unit.examples import N1, facts
from tests.unit.examples import node as told_node

JsonObject = dict[str, Any]
DRIVER = calico.DRIVER
ETCD = "https://192.0.2.11:2379"
PREFIX = "/calico/resources/v3/projectcalico.org"


def read(*objects: JsonObject, **more: Any) -> Any:
    return DRIVER.read(doors(ObjectsApi(objects), **more))


@pytest.mark.parametrize(
    ("objects", "way"),
    [
        # The manifest for the API's datastore, as it is applied with no change.
        ([manifests.pool(ipip="Always")], "BGP full mesh, AS 64512, IP-in-IP, pool 10.244.0.0/16"),
        ([manifests.pool(ipip="CrossSubnet")], "BGP full mesh, AS 64512, IP-in-IP across subnets, pool 10.244.0.0/16"),
        ([manifests.pool(vxlan="CrossSubnet")], "BGP full mesh, AS 64512, VXLAN across subnets, pool 10.244.0.0/16"),
        ([manifests.pool(), manifests.bgp(mesh=True, number=65001)], "BGP full mesh, AS 65001, pool 10.244.0.0/16"),
        ([manifests.pool(), manifests.bgp(mesh=False)], "BGP by BGPPeers alone, AS 64512, pool 10.244.0.0/16"),
        (
            [
                manifests.pool(),
                manifests.pool("10.9.0.0/16", ipip="Always", disabled=True),
                manifests.pool("fd00::/48"),
                manifests.felix(wireguardEnabled=True),
            ],
            "BGP full mesh, AS 64512, WireGuard, pool 10.244.0.0/16",
        ),
        (
            [manifests.pool(vxlan="Always"), manifests.felix(bpfEnabled=True)],
            "BGP full mesh, AS 64512, VXLAN, eBPF data plane, pool 10.244.0.0/16",
        ),
    ],
)
def test_each_way_is_told_as_its_objects_say(objects: list[JsonObject], way: str) -> None:
    found = read(manifests.daemonset(), manifests.config(), *objects).way
    assert found == f"calico 3.26.4, datastore kubernetes: {way}"


def test_the_operators_calico_says_its_backend_itself() -> None:
    daemonset = manifests.daemonset(namespace="calico-system", CALICO_NETWORKING_BACKEND="vxlan")
    assert read(daemonset, manifests.pool(vxlan="Always")).way.endswith("kubernetes: VXLAN, pool 10.244.0.0/16")


@pytest.mark.parametrize(
    ("pool", "more", "modules"),
    [
        (manifests.pool(ipip="CrossSubnet"), {}, {"ip_set", "nf_conntrack", "ipip"}),
        (manifests.pool(vxlan="Always"), {"wireguardEnabled": True}, {"ip_set", "nf_conntrack", "vxlan", "wireguard"}),
        (manifests.pool(), {}, {"ip_set", "nf_conntrack"}),
    ],
)
def test_the_kernel_must_have_what_the_way_takes(pool: JsonObject, more: JsonObject, modules: set[str]) -> None:
    network = read(manifests.daemonset(), manifests.config(), pool, manifests.felix(**more))
    assert set(network.needs.modules) == modules


def test_an_mtu_that_is_fixed_is_read_with_what_the_tunnel_adds() -> None:
    network = read(manifests.daemonset(), manifests.config(mtu="1440"), manifests.pool(ipip="Always"))
    assert (network.mtu, network.overhead) == (1440, 20)


def test_a_mesh_above_a_hundred_nodes_warns() -> None:
    many = [node(f"w{number}", number) for number in range(101)]
    network = read(manifests.daemonset(), manifests.config(), manifests.pool(), *many)
    assert "101 nodes in a full mesh keep 5050 BGP sessions" in network.told[0]


def test_a_cluster_without_calico_says_so() -> None:
    with pytest.raises(PreflightError, match="there is no DaemonSet calico-node"):
        read()


def test_a_calico_without_its_kinds_says_so() -> None:
    api = ObjectsApi([manifests.daemonset(), manifests.config()], kinds=False)
    with pytest.raises(PreflightError, match="cannot be read"):
        DRIVER.read(doors(api))


def test_a_cluster_whose_pools_are_all_disabled_takes_no_node() -> None:
    network = read(manifests.daemonset(), manifests.config(), manifests.pool(disabled=True))
    assert network.refusals == ("Calico has no IPPool that is not disabled",)


def etcd() -> FakeEtcd:
    found = FakeEtcd.of("m1")
    told: dict[str, JsonObject] = {
        "ippools/default": manifests.pool(ipip="CrossSubnet"),
        "bgpconfigurations/default": manifests.bgp(mesh=False),
        "bgppeers/all": manifests.peer("all", nodeSelector="all()", peerSelector="has(rr)"),
        "nodes/m1": {
            "kind": "Node",
            "metadata": {"name": "m1", "labels": {"rr": ""}},
            "spec": {"bgp": {"ipv4Address": "192.0.2.11/24", "routeReflectorClusterID": "244.0.0.1"}},
        },
        "nodes/n1": {"kind": "Node", "metadata": {"name": "n1"}, "spec": {"bgp": {"ipv4Address": "192.0.2.31/24"}}},
    }
    found.keys = {f"{PREFIX}/{name}": json.dumps(each) for name, each in told.items()}
    return found


def test_a_datastore_in_the_clusters_own_etcd_is_read_from_there() -> None:
    daemonset = manifests.daemonset(ETCD_ENDPOINTS=ETCD)
    network = read(daemonset, manifests.config(), etcd=etcd())
    assert network.way.endswith(
        "datastore etcd: BGP by reflectors m1, AS 64512, IP-in-IP across subnets, pool 10.244.0.0/16"
    )
    assert network.subnets == {"m1": "192.0.2.11/24", "n1": "192.0.2.31/24"}


def test_a_datastore_in_another_etcd_is_not_guessed() -> None:
    network = read(manifests.daemonset(ETCD_ENDPOINTS="https://192.0.2.99:2379"), manifests.config())
    assert network.way.endswith("not read")
    assert "not this cluster's" in network.told[0]


def test_in_etcd_what_stays_of_a_node_is_told_and_not_deleted() -> None:
    api = ObjectsApi([manifests.daemonset(ETCD_ENDPOINTS=ETCD), manifests.config()])
    left = DRIVER.leave(doors(api, etcd=etcd()), [N1])
    assert left == {"n1": "Calico's etcd has or may have its node still: calicoctl delete node n1"}


def test_a_node_is_in_when_calico_node_runs_and_has_told_its_address_and_its_tunnels() -> None:
    api = ObjectsApi([manifests.daemonset(), manifests.config(), manifests.pool(ipip="Always"), node("n1", 31)])
    known = doors(api)
    assert "no pod of DaemonSet kube-system/calico-node runs there" in DRIVER.lacking(known, [N1])["n1"].why
    api.run_pod("calico-node", "n1", ready=False)
    assert "is not Ready" in DRIVER.lacking(known, [N1])["n1"].why
    api.pods.clear()
    api.run_pod("calico-node", "n1")
    annotations = api.get("nodes")[0]["metadata"]["annotations"]
    annotations[ADDRESS] = "172.17.0.1/16"
    assert "took the address 172.17.0.1, 192.0.2.31 is wanted" in DRIVER.lacking(known, [N1])["n1"].why
    annotations[ADDRESS] = "192.0.2.31/24"
    assert TUNNELS["ipip"] in DRIVER.lacking(known, [N1])["n1"].why
    annotations[TUNNELS["ipip"]] = "10.244.3.1"
    assert DRIVER.lacking(known, [N1]) == {}


def lacking(*objects: JsonObject, **annotations: str) -> str:
    """Return what n1 lacks, whose calico-node runs, beside a node that lives."""
    given = {ADDRESS: "192.0.2.31/24", **annotations}
    api = ObjectsApi([manifests.daemonset(), manifests.config(), *objects, node("n1", 31, annotations=given)])
    api.run_pod("calico-node", "n1")
    found = DRIVER.lacking(doors(api), [N1])
    return found["n1"].why if found else ""


def test_where_calico_runs_over_another_interface_any_address_will_do() -> None:
    second = node("m1", 11, annotations={ADDRESS: "198.51.100.11/24"})
    assert lacking(manifests.pool(), second, **{ADDRESS: "198.51.100.31/24"}) == ""
    assert "took the address none" in lacking(manifests.pool(), second, **{ADDRESS: ""})


def test_a_tunnels_address_is_waited_for_where_a_pool_that_tunnels_selects_the_node_alone() -> None:
    assert TUNNELS["vxlan"] in lacking(manifests.pool(vxlan="Always"))
    assert lacking(manifests.pool(vxlan="Always", nodeSelector="rack == 'a'"), manifests.pool("10.245.0.0/16")) == ""


def test_pods_whose_addresses_are_of_the_nodes_own_range_have_no_tunnels_address() -> None:
    api = ObjectsApi(
        [
            manifests.daemonset(USE_POD_CIDR="true"),
            manifests.config(),
            manifests.pool(ipip="Always"),
            node("n1", 31, annotations={ADDRESS: "192.0.2.31/24"}),
        ]
    )
    api.run_pod("calico-node", "n1")
    assert DRIVER.lacking(doors(api), [N1]) == {}


def test_labels_that_scaler_will_give_the_node_are_looked_at() -> None:
    mesh, rack = manifests.bgp(mesh=False), "topology.kubernetes.io/zone == 'r1'"
    selecting = manifests.peer("p", nodeSelector=rack, peerIP="192.0.2.254", asNumber=65000)
    objects = (manifests.daemonset(), manifests.config(), manifests.pool(), mesh, selecting)
    racked = N1.model_copy(update={"failure_domain": "r1"})
    for host, unfit_for in ((racked, 0), (N1, 1)):
        network = read(*objects, standby=(host,))
        assert len([*DRIVER.unfit(network, host, facts(), ())]) == unfit_for


def test_a_vxlan_needs_nobody_to_talk_bgp_to() -> None:
    network = read(
        manifests.daemonset(), manifests.config(), manifests.pool(vxlan="CrossSubnet"), manifests.bgp(mesh=False)
    )
    assert [*DRIVER.unfit(network, N1, facts(), ())] == []


def test_the_last_member_of_etcd_that_calico_knows_stays() -> None:
    etcd = FakeEtcd.of("m1")
    gone = f"https://192.0.2.99:2379,{ETCD}"
    network = read(manifests.daemonset(ETCD_ENDPOINTS=gone), manifests.config(), etcd=etcd)
    assert (network.datastore, network.endpoints) == ("etcd", ("192.0.2.11",))
    there = [told_node("m1", "192.0.2.11"), told_node("w1", "192.0.2.21")]
    assert "ETCD_ENDPOINTS name no other living member" in DRIVER.may_leave(network, ["m1"], there)
    assert DRIVER.may_leave(network, ["w1"], there) == ""


def unfit(*objects: JsonObject, reflector: bool = False, **more: Any) -> list[str]:
    joining = Host(
        name="n1", connection=Connection(address="192.0.2.31"), variables={"cni_reflector": True} if reflector else {}
    )
    network = read(manifests.daemonset(), manifests.config(), manifests.pool(), *objects, **more)
    others = (told_node("m1", "192.0.2.11"), told_node("w1", "198.51.100.21"))
    return [said.message for said in DRIVER.unfit(network, joining, facts(), others)]


def test_without_a_tunnel_a_node_in_another_subnet_is_warned_of() -> None:
    assert unfit() == ["1 nodes are not in its subnet 192.0.2.31/24, and Calico's pools do not tunnel"]


def test_a_reflector_in_a_mesh_is_refused() -> None:
    assert "full mesh is on" in unfit(reflector=True)[-1]


def test_a_reflector_that_no_selector_knows_is_refused() -> None:
    assert "by which label" in unfit(manifests.bgp(mesh=False), reflector=True)[-1]
    selecting = manifests.peer("p", nodeSelector="all()", peerSelector="has(rr)")
    assert unfit(manifests.bgp(mesh=False), selecting, reflector=True) == []


def explicit(*more: JsonObject) -> Any:
    reflecting = node("m1", 11, annotations={ADDRESS: "192.0.2.11/24", CLUSTER_ID: "244.0.0.1"})
    theirs = [
        manifests.peer("w1-m1", node="w1", peerIP="192.0.2.11", asNumber=64512),
        manifests.peer("m1-w1", node="m1", peerIP="192.0.2.21", asNumber=64512),
    ]
    return read(
        manifests.daemonset(),
        manifests.config(),
        manifests.pool(),
        manifests.bgp(mesh=False),
        reflecting,
        node("w1", 21, annotations={ADDRESS: "192.0.2.21/24"}),
        *theirs,
        *more,
    )


def missing(network: Any) -> set[tuple[str, str]]:
    return {(each["spec"]["node"], each["spec"]["peerIP"]) for each in peering.missing_peers(network, N1)}


def test_where_each_node_has_its_own_peers_a_new_one_lacks_them_both_ways() -> None:
    assert missing(explicit()) == {("n1", "192.0.2.11"), ("m1", "192.0.2.31")}
    half = explicit(manifests.peer("scaler-n1-192-0-2-11", node="n1", peerIP="192.0.2.11", asNumber=64512))
    assert (peering.peered(half, N1), peering.peered(half, N1, own=False)) == (True, False)
    assert missing(half) == {("m1", "192.0.2.31")}


def test_one_nodes_own_router_is_nobody_elses() -> None:
    router = manifests.peer("w1-router", node="w1", peerIP="192.0.2.254", asNumber=65000)
    selected = manifests.peer("all", nodeSelector="all()", peerSelector="has(rr)")
    labelled = node("r1", 12, annotations={CLUSTER_ID: "244.0.0.1"}, labels={"rr": ""})
    network = read(
        manifests.daemonset(),
        manifests.config(),
        manifests.pool(),
        manifests.bgp(mesh=False),
        router,
        selected,
        labelled,
    )
    assert peering.peered(network, N1, own=False)
