"""flannel, cilium and routed: what is read, what a node needs, and when it is in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scaler.drivers import cni, cni_daemonset, found
from scaler.drivers.cni import cilium, flannel, routed
from scaler.errors import PreflightError
from scaler.gateways.ssh import Said
from scaler.model.inventory import Connection, Host
from scaler.model.network import REFLECTOR_LABEL
from tests.fakes.networks import ObjectsApi, TableSsh, doors, node
from tests.unit.examples import N1, cluster, facts, settings
from tests.unit.examples import node as told_node

if TYPE_CHECKING:
    from collections.abc import Sequence

JsonObject = dict[str, Any]


def daemonset(name: str, image: str, container: str, namespace: str = "kube-system") -> JsonObject:
    containers = [{"name": container, "image": image, "args": ["--ip-masq", "--kube-subnet-mgr"]}]
    meta = {"name": name, "namespace": namespace}
    return {"kind": "DaemonSet", "metadata": meta, "spec": {"template": {"spec": {"containers": containers}}}}


def config(name: str, namespace: str, data: dict[str, str]) -> JsonObject:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def test_every_driver_keeps_the_contract() -> None:
    for name, driver in found("cni").items():
        wanted = {each for each in dir(cni.Cni) if not each.startswith("_")}
        assert {each for each in wanted if not hasattr(driver, each)} == set(), name


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/flannel/flannel:v0.22.0", "0.22.0"),
        ("registry:5000/cilium/cilium:v1.15.3@sha256:da74", "1.15.3"),
        ("registry:5000/cilium/cilium@sha256:da74", ""),
        ("quay.io/coreos/flannel:v0.12.0-amd64", "0.12.0-amd64"),
    ],
)
def test_a_version_is_read_from_an_images_tag(image: str, version: str) -> None:
    assert cni_daemonset.version_of(image) == version


def flannels(backend: JsonObject, network: str = "10.244.0.0/16", namespace: str = "kube-flannel") -> ObjectsApi:
    conf = json.dumps({"Network": network, "EnableNFTables": False, "Backend": backend})
    image = "docker.io/flannel/flannel:v0.22.0"
    return ObjectsApi(
        [
            daemonset("kube-flannel-ds", image, "kube-flannel", namespace),
            config("kube-flannel-cfg", namespace, {"cni-conf.json": "{}", "net-conf.json": conf}),
        ]
    )


@pytest.mark.parametrize(
    ("backend", "way", "module", "one_link"),
    [
        ({"Type": "vxlan"}, "flannel, vxlan", "vxlan", False),
        ({"Type": "vxlan", "DirectRouting": True}, "flannel, vxlan, directly within a subnet", "vxlan", False),
        ({"Type": "host-gw"}, "flannel, host-gw", "", True),
        ({"Type": "wireguard"}, "flannel, wireguard", "wireguard", False),
    ],
)
def test_flannels_backend_is_read(backend: JsonObject, way: str, module: str, *, one_link: bool) -> None:
    for namespace in ("kube-flannel", "kube-system"):
        network = flannel.DRIVER.read(doors(flannels(backend, namespace=namespace)))
        assert (network.way, network.one_link) == (way, one_link)
        assert set(network.needs.modules) == {"br_netfilter", module} - {""}


def test_another_network_than_the_inventorys_is_refused() -> None:
    network = flannel.DRIVER.read(doors(flannels({"Type": "vxlan"}, network="10.9.0.0/16")))
    assert network.refusals == ("flannel's network is 10.9.0.0/16, the inventory's pod_cidr is 10.244.0.0/16",)


def test_a_net_conf_that_cannot_be_read_is_told() -> None:
    api = ObjectsApi([daemonset("kube-flannel-ds", "f:v1", "kube-flannel", "kube-flannel")])
    with pytest.raises(PreflightError, match=r"net-conf\.json cannot be read"):
        flannel.DRIVER.read(doors(api))


def test_flannel_has_a_node_in_when_it_has_annotated_it() -> None:
    api = flannels({"Type": "vxlan"})
    api.objects.append(node("n1", 31))
    assert "runs there" in flannel.DRIVER.lacking(doors(api), [N1])["n1"].why
    api.run_pod("kube-flannel-ds", "n1")
    assert "its Node says no backend" in flannel.DRIVER.lacking(doors(api), [N1])["n1"].why
    prefix = "flannel.alpha.coreos.com"
    api.objects[-1]["metadata"]["annotations"] = {
        f"{prefix}/public-ip": "192.0.2.31",
        f"{prefix}/backend-type": "vxlan",
    }
    assert flannel.DRIVER.lacking(doors(api), [N1]) == {}


def test_where_flannel_runs_over_another_interface_any_address_will_do() -> None:
    api, prefix = flannels({"Type": "vxlan"}), "flannel.alpha.coreos.com"
    for name, number in (("m1", 11), ("n1", 31)):
        told = {f"{prefix}/public-ip": f"198.51.100.{number}", f"{prefix}/backend-type": "vxlan"}
        api.objects.append(node(name, number, annotations=told))
    api.run_pod("kube-flannel-ds", "n1")
    assert flannel.DRIVER.lacking(doors(api), [N1]) == {}


def test_flannels_and_ciliums_mtu_is_that_of_the_link() -> None:
    for network in (
        flannel.DRIVER.read(doors(flannels({"Type": "vxlan", "MTU": 1500}))),
        cilium.DRIVER.read(doors(ciliums("v1.16.1", routing_mode="tunnel", mtu="1500"))),
    ):
        assert network.mtu + network.overhead == 1500


def ciliums(tag: str, **conf: str) -> ObjectsApi:
    return ObjectsApi(
        [
            daemonset("cilium", f"quay.io/cilium/cilium:{tag}", "cilium-agent"),
            config("cilium-config", "kube-system", {name.replace("_", "-"): value for name, value in conf.items()}),
        ]
    )


@pytest.mark.parametrize(
    ("tag", "conf", "way", "kernel", "replaces"),
    [
        ("v1.9.5", {"tunnel": "vxlan", "kube_proxy_replacement": "probe"}, "vxlan, beside", "4.9.17", False),
        (
            "v1.13.4",
            {"tunnel": "disabled", "kube_proxy_replacement": "strict"},
            "native routing, in place",
            "4.19.57",
            True,
        ),
        ("v1.14.0", {"routing_mode": "tunnel", "tunnel_protocol": "geneve"}, "geneve, beside", "4.19.57", False),
        ("v1.16.1", {"routing_mode": "native", "kube_proxy_replacement": "true"}, "native routing, in", "5.4", True),
        ("v1.18.3", {"routing_mode": "tunnel", "kube_proxy_replacement": "false"}, "vxlan, beside", "5.10", False),
    ],
)
def test_ciliums_way_and_its_kernel_are_read(
    tag: str, conf: dict[str, str], way: str, kernel: str, *, replaces: bool
) -> None:
    network = cilium.DRIVER.read(doors(ciliums(tag, **conf)))
    assert network.way.startswith(f"cilium {tag[1:]}, {way}")
    assert (network.needs.kernel, network.replaces_proxy) == (kernel, replaces)


def test_a_cilium_without_a_version_is_warned_of() -> None:
    network = cilium.DRIVER.read(doors(ciliums("latest")))
    assert network.needs.kernel == ""
    assert network.way.startswith("cilium latest")
    assert "its kernel demand is not known" in network.told[0]
    assert cilium.DRIVER.read(doors(ciliums("v1.16.1"))).told == ()


def test_cilium_has_a_node_in_when_its_object_has_the_address() -> None:
    api = ciliums("v1.16.1")
    api.run_pod("cilium", "n1")
    assert "its CiliumNode has no address" in cilium.DRIVER.lacking(doors(api), [N1])["n1"].why
    addresses = [{"ip": "192.0.2.31", "type": "InternalIP"}, {"ip": "10.0.1.7", "type": "CiliumInternalIP"}]
    api.objects.append({"kind": "CiliumNode", "metadata": {"name": "n1"}, "spec": {"addresses": addresses}})
    assert cilium.DRIVER.lacking(doors(api), [N1]) == {}
    assert cilium.DRIVER.node_kinds == ("ciliumnodes.cilium.io",)


MESH = settings(cni_routing="bgp-mesh")
REFLECTED = settings(cni_routing="bgp-reflector", cni_as_number=65010)
REFLECTOR = Host(name="n1", connection=Connection(address="192.0.2.31"), variables={"cni_reflector": True})


def test_static_routes_need_no_api_and_no_step() -> None:
    network = routed.DRIVER.read(doors(ObjectsApi([])))
    assert (network.way, network.works) == ("routed: static routes, kept out of the API's Nodes", False)
    assert routed.DRIVER.lacking(doors(ObjectsApi([])), [N1]) == {}


def test_bird_must_be_there_and_its_port_free() -> None:
    network = routed.DRIVER.read(doors(ObjectsApi([]), settings=MESH))
    assert network.way == "routed: BGP by BIRD, full mesh, AS 64512"
    assert (set(network.needs.programs), set(network.needs.ports), network.one_link) == ({"bird", "birdc"}, {179}, True)


def test_a_node_is_in_when_bird_has_a_route_to_every_ready_nodes_pods() -> None:
    there = [node("m1", 11, cidr="10.244.0.0/24"), node("w1", 21, cidr="10.244.1.0/24"), node("w2", 22, ready=False)]
    told: list[str] = []

    def answer(_host: Host, argv: Sequence[str]) -> Said:
        assert argv[-2:] == ["proto", "12"]
        return Said(0, json.dumps([{"dst": cidr, "gateway": "192.0.2.1"} for cidr in told]), "")

    known = doors(ObjectsApi(there), ssh=TableSsh(answer), settings=MESH)
    assert routed.DRIVER.lacking(known, [N1])["n1"] == ("BIRD has no route to the pods of m1, w1", True)
    told.append("10.244.0.0/24")
    assert routed.DRIVER.lacking(known, [N1])["n1"] == ("BIRD has no route to the pods of w1", False)
    told.append("10.244.1.0/24")
    assert routed.DRIVER.lacking(known, [N1]) == {}


def test_a_reflector_is_labelled_as_one() -> None:
    api = ObjectsApi([])
    assert routed.DRIVER.join(doors(api, settings=REFLECTED), [REFLECTOR]) == {}
    assert api.called == [["label", "nodes", "n1", "--overwrite", f"{REFLECTOR_LABEL}=true"]]
    api.called.clear()
    routed.DRIVER.join(doors(api, settings=REFLECTED), [N1])
    assert api.called == []


def unfit(host: Host, *nodes: JsonObject, settings: Any = REFLECTED) -> list[str]:
    network = routed.DRIVER.read(doors(ObjectsApi(nodes), settings=settings))
    others = tuple(told_node(each["metadata"]["name"], "192.0.2.11") for each in nodes)
    return [said.message for said in routed.DRIVER.unfit(network, host, facts(), others)]


def test_without_a_reflector_only_a_reflector_may_join() -> None:
    assert "no node is a reflector" in unfit(N1, node("m1", 11))[0]
    assert unfit(REFLECTOR, node("m1", 11)) == []
    assert unfit(N1, node("m1", 11, labels={REFLECTOR_LABEL: "true"})) == []


def test_a_reflector_where_nothing_is_reflected_is_refused() -> None:
    assert "cni_routing is not bgp-reflector" in unfit(REFLECTOR, node("m1", 11), settings=MESH)[0]


def test_the_last_reflectors_stay() -> None:
    reflecting = {REFLECTOR_LABEL: "true"}
    nodes = [node("m1", 11, labels=reflecting), node("w1", 21, labels=reflecting), node("w2", 22)]
    network = routed.DRIVER.read(doors(ObjectsApi(nodes), settings=REFLECTED))
    there = [told_node(each["metadata"]["name"], "192.0.2.11") for each in nodes]
    dead = told_node("m1", "192.0.2.11", ready=False)
    assert routed.DRIVER.may_leave(network, ["w1"], there) == ""
    assert routed.DRIVER.may_leave(network, ["w2"], there) == ""
    assert routed.DRIVER.may_leave(network, ["w1"], [dead, *there[1:]]).startswith("w1 is the last route reflector")
    both = routed.DRIVER.may_leave(network, ["m1", "w1"], there)
    assert both == "m1, w1 are the last route reflectors: 1 other nodes would get no routes any more"


def test_a_driver_that_is_not_there_is_told_with_those_that_are() -> None:
    assert cluster().settings.cni == "routed"
    with pytest.raises(Exception, match="no driver 'weave'"):
        cni.of("weave")
