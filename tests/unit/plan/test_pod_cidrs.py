from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.errors import PreflightError
from scaler.plan import pod_cidrs


@pytest.mark.parametrize(
    ("network", "mask", "used", "left"),
    [
        ("10.244.0.0/16", 24, [], 256),
        ("10.244.0.0/16", 24, ["10.244.0.0/24", "10.244.255.0/24"], 254),
        ("10.244.0.0/22", 24, ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"], 0),
        ("10.244.0.0/24", 24, [], 1),
        ("10.244.0.0/24", 24, ["10.99.0.0/24"], 1),
        ("10.244.0.0/22", 24, ["10.244.0.0/24", "10.244.0.0/24"], 3),
        ("fd00:10:244::/56", 64, ["fd00:10:244::/64"], 255),
        ("fd00:10:244::/48", 64, ["fd00:10:244:ffff::/64"], 65535),
        ("10.244.0.0/22", 24, ["fd00:10:244::/64"], 4),
        ("10.244.0.0/22", 24, ["10.244.0.0/23"], 2),
        ("10.244.0.0/22", 24, ["10.244.0.0/25", "10.244.0.128/25"], 3),
        ("10.244.0.0/22", 24, ["10.244.0.0/16"], 0),
        ("10.244.0.0/24", 32, ["10.244.0.7/32"], 255),
    ],
)
def test_what_is_left_is_the_whole_less_what_is_used(network: str, mask: int, used: list[str], left: int) -> None:
    assert pod_cidrs.left(network, mask, used) == left


def test_as_many_nodes_as_there_are_ranges_may_join() -> None:
    pod_cidrs.must_hold("10.244.0.0/23", 24, ["10.244.0.0/24"], 1)


def test_one_node_more_than_there_are_ranges_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(PreflightError, match=r"has 1 node ranges \(/24\) left, 2 are needed"):
        pod_cidrs.must_hold("10.244.0.0/23", 24, ["10.244.0.0/24"], 2)


@given(st.integers(min_value=8, max_value=24), st.integers(min_value=0, max_value=6), st.data())
def test_as_many_are_left_as_nobody_has(prefix: int, depth: int, data: st.DataObject) -> None:
    network = ipaddress.ip_network(f"10.0.0.0/{prefix}")
    ranges = [str(subnet) for subnet in network.subnets(prefixlen_diff=depth)]
    used = data.draw(st.sets(st.sampled_from(ranges)))
    assert pod_cidrs.left(str(network), prefix + depth, used) == len(ranges) - len(used)
