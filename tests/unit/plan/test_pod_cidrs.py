from __future__ import annotations

import pytest

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
    ],
)
def test_what_is_left_is_the_whole_less_what_is_used(network: str, mask: int, used: list[str], left: int) -> None:
    assert pod_cidrs.left(network, mask, used) == left


def test_as_many_nodes_as_there_are_ranges_may_join() -> None:
    pod_cidrs.must_hold("10.244.0.0/23", 24, ["10.244.0.0/24"], 1)


def test_one_node_more_than_there_are_ranges_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(PreflightError, match=r"has 1 node ranges \(/24\) left, 2 are needed"):
        pod_cidrs.must_hold("10.244.0.0/23", 24, ["10.244.0.0/24"], 2)
