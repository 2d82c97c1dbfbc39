from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from scaler.errors import InputError
from scaler.gateways import inventory as gateway
from scaler.lab import inventory
from scaler.lab.disk import Disk
from scaler.lab.host import Host
from scaler.lab.layout import Lab, place
from scaler.lab.roles import Balancer, Shape

if TYPE_CHECKING:
    from pathlib import Path

SUBNET = IPv4Network("10.213.4.0/24")
VERSIONS = {"kubernetes": "v1.20.2", "etcd": "v3.4.23", "images": "v1"}


@dataclass
class Made:
    """A lab's inventory, as files."""

    lab: Lab
    store: Path

    def write(self, shape: Shape, **given: str) -> None:
        hosts = [
            Host(self.lab, place(name, SUBNET, number), SUBNET, Disk(self.store, 1 << 30, self.store))
            for number, name in enumerate(shape.names())
        ]
        inventory.write(self.lab, hosts, self.store, VERSIONS, shape, given)

    @property
    def variables(self) -> dict[str, Any]:
        return self._read("group_vars/all.yml")

    @property
    def groups(self) -> dict[str, list[str]]:
        children = self._read("hosts.yml")["all"]["children"]
        return {group: list(content["hosts"] or {}) for group, content in children.items()}

    def _read(self, name: str) -> dict[str, Any]:
        text = (self.lab.inventory / name).read_text(encoding="utf-8")
        told: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
        return told


@pytest.fixture
def made(tmp_path: Path) -> Made:
    store = tmp_path / "store"
    image = store / "images" / "v1" / "linux-amd64" / "pause.tar"
    image.parent.mkdir(parents=True)
    image.touch()
    return Made(Lab("dev", tmp_path), store)


def test_a_master_alone_has_etcd_and_the_others_wait(made: Made) -> None:
    made.write(Shape(masters=2, workers=1))
    assert made.groups == {
        "masters": ["m1"],
        "etcd": ["m1"],
        "loadbalancers": ["lb1"],
        "workers": [],
        "standby": ["m2", "n1"],
    }
    assert made.variables["api_endpoint"] == "10.213.4.2:6443"
    assert made.variables["loadbalancer"] == "haproxy"
    assert "vip" not in made.variables


def test_the_first_of_the_etcd_hosts_has_etcd(made: Made) -> None:
    made.write(Shape(workers=0, etcd=3))
    assert made.groups["masters"] == ["m1"]
    assert made.groups["etcd"] == ["e1"]
    assert made.groups["standby"] == ["e2", "e3"]


def test_with_a_vip_and_no_hosts_for_them_the_masters_are_the_load_balancers(made: Made) -> None:
    made.write(Shape(masters=2, loadbalancers=0, vip=True))
    assert (made.groups["loadbalancers"], made.groups["masters"]) == (["m1", "m2"], ["m1"])
    assert made.variables["api_endpoint"] == "10.213.4.254:8443"


def test_a_vip_is_the_apis_address_and_no_hosts(made: Made) -> None:
    made.write(Shape(loadbalancers=2, balancer=Balancer.nginx, vip=True))
    assert made.variables["vip"] == "10.213.4.254"
    assert made.variables["api_endpoint"] == "10.213.4.254:6443"
    assert made.variables["loadbalancer"] == "nginx"


@pytest.mark.parametrize("loadbalancers", [0, 1])
def test_with_local_balancers_the_apis_address_is_the_masters(made: Made, loadbalancers: int) -> None:
    made.write(Shape(loadbalancers=loadbalancers, balancer=Balancer.local))
    assert made.variables["api_endpoint"] == f"10.213.4.{2 + loadbalancers}:6443"


@pytest.mark.ansible
@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(loadbalancers=2, balancer=Balancer.nginx, vip=True),
        Shape(loadbalancers=0, balancer=Balancer.local, etcd=1),
        Shape(masters=2, loadbalancers=0, vip=True),
    ],
)
def test_scaler_reads_what_was_written(made: Made, shape: Shape) -> None:
    made.write(shape)
    cluster = gateway.read(made.lab.inventory)
    assert sorted(cluster.hosts()) == sorted(shape.names())
    assert cluster.settings.loadbalancer == shape.balancer
    assert cluster.settings.vip == ("10.213.4.254" if shape.vip else None)


def test_hosts_that_come_later_wait_on_standby(made: Made) -> None:
    made.write(Shape(workers=1))
    made.write(Shape(workers=1, etcd=1))
    assert made.groups["etcd"] == ["m1"]
    assert made.groups["standby"] == ["n1", "e1"]


@pytest.mark.parametrize(
    ("balancer", "vip", "agrees"),
    [
        (None, False, True),
        (Balancer.nginx, False, True),
        (Balancer.haproxy, False, False),
        (None, True, False),
    ],
)
def test_what_an_inventory_has_not_is_not_asked_of_it(
    made: Made, *, balancer: Balancer | None, vip: bool, agrees: bool
) -> None:
    inventory.must_agree(made.lab, balancer=balancer, vip=vip)
    made.write(Shape(balancer=Balancer.nginx))
    if agrees:
        inventory.must_agree(made.lab, balancer=balancer, vip=vip)
    else:
        with pytest.raises(InputError, match="lab dev is there already, with loadbalancer nginx, no vip"):
            inventory.must_agree(made.lab, balancer=balancer, vip=vip)


def test_variables_that_are_given_come_in_place_of_the_labs_own_or_beside_them(made: Made) -> None:
    made.write(
        Shape(), **inventory.variables(["cni_routing=bgp-mesh", "cgroup_driver=systemd", "host_modules=[ip_vs]"])
    )
    told = made.variables
    assert (told["cni_routing"], told["cgroup_driver"], told["host_modules"]) == ("bgp-mesh", "systemd", ["ip_vs"])


def test_variables_of_another_inventory_are_refused(made: Made) -> None:
    made.write(Shape(), cni_routing="bgp-mesh")
    inventory.must_agree(made.lab, balancer=None, vip=False, given={"cni_routing": "bgp-mesh"})
    with pytest.raises(InputError, match="cni_routing: bgp-mesh"):
        inventory.must_agree(made.lab, balancer=None, vip=False, given={"cni_routing": "static"})


@pytest.mark.parametrize("word", ["cni_routing", "=x", "CNI=x", "a b=x"])
def test_what_is_no_variable_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="not NAME=VALUE"):
        inventory.variables([word])
