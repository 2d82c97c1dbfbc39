from __future__ import annotations

from typing import Any

import pytest

from scaler.errors import InputError
from scaler.lab.roles import ETCD, LOADBALANCER, MASTER, WORKER, Balancer, Shape, role_of


def test_every_role_has_hosts_of_its_own_name() -> None:
    shape = Shape(masters=1, loadbalancers=2, workers=1, etcd=2)
    assert shape.names() == ["lb1", "lb2", "m1", "e1", "e2", "n1"]
    assert [role_of(name) for name in shape.names()] == [LOADBALANCER, LOADBALANCER, MASTER, ETCD, ETCD, WORKER]


@pytest.mark.parametrize("name", ["e", "edge1", "m1a", "lb"])
def test_a_host_of_another_name_is_a_worker(name: str) -> None:
    assert role_of(name) == WORKER


@pytest.mark.parametrize("balancer", [Balancer.haproxy, Balancer.local])
def test_a_lab_may_have_no_load_balancer(balancer: Balancer) -> None:
    assert Shape(loadbalancers=0, workers=1, balancer=balancer).names() == ["m1", "n1"]


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"balancer": Balancer.nginx, "loadbalancers": 0}, "--loadbalancer nginx needs a host for it"),
        ({"vip": True, "balancer": Balancer.local}, "--vip and --loadbalancer local do not go together"),
        ({"vip": True, "workers": 251}, "with --vip a lab has at most 252 hosts"),
    ],
)
def test_what_does_not_go_together_is_refused(shape: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        Shape(**shape)


def test_with_a_vip_one_address_is_left_for_it() -> None:
    assert len(Shape(vip=True, workers=250).names()) == 252
