"""What of a cluster's network and of its kube-proxy speaks against a host."""

from __future__ import annotations

from typing import Any

import pytest

from scaler.checks.preflight import Subject, examine
from scaler.model.facts import Link, Listener
from scaler.model.network import Needs, Network
from scaler.model.proxy import Living
from tests.unit.examples import N1, cluster, facts, node, settings, state

OLD = (node("m1", "192.0.2.11"), node("w1", "192.0.2.21"))


def told(*nodes: Any, network: Network | None = None, living: Living | None = None, **more: Any) -> list[str]:
    """Return what the checks network and proxy say, warnings marked; ``more`` are facts and settings."""
    wanted = more.pop("settings", {})
    seen = facts(**more)
    subject = Subject(
        N1,
        seen,
        (0.0, 0.1),
        cluster(settings=settings(**wanted)),
        state(*(nodes or OLD)),
        (),
        "digest",
        network=network or Network(way="a network"),
        living=living or Living(mode="iptables", host="m1"),
    )
    found = [each for each in examine(subject) if each.check in {"network", "proxy"}]
    return [f"{'warning: ' if each.warning else ''}{each.message}" for each in found]


def test_a_fit_host_is_told_of_nothing() -> None:
    assert told() == []


VXLAN = Needs(modules={"vxlan": "Calico's VXLAN"})


def test_a_kernel_without_the_module_is_refused_with_its_name() -> None:
    lacking = {"vxlan": "absent", "nf_conntrack": "there"}
    assert told(network=Network(needs=VXLAN), modules=lacking) == [
        "its kernel has no vxlan, which Calico's VXLAN needs"
    ]


def test_a_kernel_that_does_not_say_is_warned_of() -> None:
    assert told(network=Network(needs=VXLAN), modules={"nf_conntrack": "there"}) == [
        "warning: whether its kernel has vxlan cannot be seen, which Calico's VXLAN needs"
    ]


@pytest.mark.parametrize(
    ("kernel", "os_id", "good"),
    [("5.10.0-21-amd64", "debian", True), ("5.4.0", "ubuntu", False), ("4.18.0-372.el8", "rhel", True)],
)
def test_an_old_kernel_is_refused_and_one_with_backports_warned_of(kernel: str, os_id: str, *, good: bool) -> None:
    network = Network(needs=Needs(kernel="5.10", kernel_for="Cilium 1.18.3"))
    found = told(network=network, kernel=kernel, os_id=os_id)
    assert all(each.startswith("warning: ") for each in found) is good


def test_a_program_and_a_port_that_the_network_wants() -> None:
    network = Network(needs=Needs(programs={"bird": "routed"}, ports={179: "BIRD's sessions"}))
    assert told(
        network=network, programs=("iptables", "conntrack"), listeners=(Listener(port=179, process="bgpd"),)
    ) == [
        "bird is not installed, which routed needs",
        "port 179 (BIRD's sessions) is taken by bgpd",
    ]


def test_a_unit_that_would_be_in_the_way() -> None:
    network = Network(needs=Needs(rivals={"bird.service": "it deletes routes"}))
    assert told(network=network) == []
    assert told(network=network, active=("bird.service",)) == ["bird.service runs there: it deletes routes"]


def test_what_a_tunnel_adds_counts_where_the_host_will_tunnel() -> None:
    network = Network(mtu=1500, overhead=20, tunnels="across subnets")
    link = (Link(name="eth0", mtu=1500, addresses=("192.0.2.31/24",)),)
    assert told(network=network, links=link) == []
    far = node("w2", "198.51.100.7")
    assert any("20 bytes of tunnel" in each for each in told(*OLD, far, network=network, links=link))


def test_nodes_on_another_link_are_refused_where_all_must_be_on_one() -> None:
    far = node("w2", "198.51.100.7")
    network = Network(way="flannel, host-gw", one_link=True)
    assert told(*OLD, far, network=network) == [
        "w2 is not in its subnet 192.0.2.31/24, and flannel, host-gw needs all nodes on one link"
    ]
    assert told(*OLD, network=network) == []


def test_which_pairs_will_tunnel_is_said() -> None:
    network = Network(way="calico", tunnels="across subnets", subnets={"w2": "198.51.100.7/24"})
    assert told(network=network) == [
        "warning: it will tunnel to w2, outside its subnet 192.0.2.31/24, and not to 2 nodes inside"
    ]


@pytest.mark.parametrize(("mtu", "good"), [(1480, True), (1481, False)])
def test_pods_whose_packets_do_not_fit_the_link_are_refused(mtu: int, *, good: bool) -> None:
    assert (told(network=Network(mtu=mtu, overhead=20)) == []) is good


def test_the_link_is_the_one_with_the_hosts_address() -> None:
    links = (Link(name="eth0", mtu=1400, addresses=("192.0.2.31/24",)), Link(name="eth1", mtu=9000))
    assert "eth0 has 1400" in told(network=Network(mtu=1450), links=links)[0]


def test_pods_that_overlap_something_else_are_warned_of() -> None:
    assert told(network=Network(cidrs=("10.96.0.0/12",))) == [
        "warning: the network's pods 10.96.0.0/12 overlap service_cidr 10.96.0.0/16",
        "warning: the network's pods are 10.96.0.0/12, outside pod_cidr 10.244.0.0/16, which kube-proxy goes by",
    ]
    assert told(network=Network(cidrs=("10.240.0.0/12",)), routes=("default", "10.243.7.0/24")) == [
        "warning: its route 10.243.7.0/24 overlaps the network's pods 10.240.0.0/12"
    ]


def test_what_speaks_against_any_join_is_told() -> None:
    assert told(network=Network(refusals=("it is broken",))) == ["it is broken"]


# kube-proxy.


def test_a_new_node_follows_those_that_live() -> None:
    living = Living(mode="ipvs", scheduler="wrr", host="m1")
    assert told(living=living) == []
    assert told(living=living, modules={"ip_vs": "there", "nf_conntrack": "there", "ip_set": "there"}) == [
        "warning: whether its kernel has ip_vs_wrr cannot be seen, which kube-proxy's mode ipvs needs"
    ]


def test_a_difference_is_refused_with_both_values() -> None:
    found = told(living=Living(mode="ipvs", scheduler="rr", host="m1"), settings={"kube_proxy_mode": "iptables"})
    assert found == ["kube_proxy_mode is iptables in the inventory, and ipvs on m1"]
    wanted = {"kube_proxy_mode": "ipvs", "kube_proxy_ipvs_scheduler": "sh"}
    assert told(living=Living(mode="ipvs", scheduler="rr", host="m1"), settings=wanted) == [
        "kube_proxy_ipvs_scheduler is sh in the inventory, and rr on m1"
    ]


def test_a_mode_that_nobody_tells_is_not_taken_in_silence() -> None:
    assert told(living=Living(why="m1: no answer")) == [
        "warning: kube-proxy's mode of the nodes that live is not known (m1: no answer): it gets iptables"
    ]
    assert told(living=Living(why="m1: no answer"), settings={"kube_proxy_mode": "ipvs"}) == [
        "warning: kube-proxy's mode of the nodes that live is not known (m1: no answer): it gets ipvs"
    ]


@pytest.mark.parametrize(
    ("version", "kernel", "found"),
    [
        ("1.28.0", "6.1.0", ["kube-proxy 1.28.0 has no mode nftables, which came with 1.29"]),
        (
            "1.30.1",
            "6.1.0",
            ["warning: kube-proxy's mode nftables is alpha in 1.30.1: its feature gate is switched on"],
        ),
        ("1.31.0", "6.1.0", []),
        ("1.33.0", "5.10.0", ["its kernel is 5.10.0, 5.13 is needed by kube-proxy's mode nftables"]),
    ],
)
def test_nftables_has_bounds_of_version_and_kernel(version: str, kernel: str, found: list[str]) -> None:
    wanted = {"kube_proxy_mode": "nftables", "kubernetes_version": version}
    assert told(living=Living(mode="nftables", host="m1"), settings=wanted, kernel=kernel) == found


def test_ipvs_is_warned_of_once_it_is_deprecated() -> None:
    wanted = {"kube_proxy_mode": "ipvs", "kubernetes_version": "1.35.0"}
    found = told(living=Living(mode="ipvs", scheduler="rr", host="m1"), settings=wanted)
    assert found == ["warning: kube-proxy's mode ipvs is deprecated since 1.35: nftables is what follows it"]


def test_a_host_without_the_program_of_its_mode_is_refused() -> None:
    assert told(programs=("conntrack",)) == ["iptables is not installed, which kube-proxy's mode iptables needs"]


def test_none_asks_for_something_that_stands_in() -> None:
    living = Living(mode="none", host="m1")
    assert told(living=living, network=Network(way="cilium", replaces_proxy=True), programs=()) == []
    assert told(living=living) == ["warning: it gets no kube-proxy, and a network does not stand in for it"]
    assert told(living=living.model_copy(update={"in_pods": True})) == []


def test_a_kube_proxy_beside_what_stands_in_for_it_is_refused() -> None:
    network = Network(way="cilium", replaces_proxy=True)
    found = told(living=Living(), network=network, settings={"kube_proxy_mode": "iptables"})
    assert found == ["kube_proxy_mode is iptables, and cilium stands in for kube-proxy"]
