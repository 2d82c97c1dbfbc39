from __future__ import annotations

import pytest

from scaler.plan import skew


@pytest.mark.parametrize(
    ("component", "version", "servers", "said"),
    [
        ("kubelet", "1.27.3", ["1.27.0"], ""),
        ("kubelet", "1.25.0", ["1.27.0"], ""),
        ("kubelet", "1.24.0", ["1.27.0"], "3 minors older"),
        ("kubelet", "1.25.0", ["1.28.0"], ""),
        ("kubelet", "1.31.0", ["1.31.0", "1.30.0"], "newer than API server 1.30.0"),
        ("kube-proxy", "1.29.0", ["1.28.0"], "newer"),
        ("kube-proxy", "1.28.0", ["1.31.0"], ""),
        ("kube-controller-manager", "1.29.0", ["1.30.0"], ""),
        ("kube-scheduler", "1.28.0", ["1.30.0"], "2 minors older"),
        ("kube-scheduler", "1.31.0", ["1.30.0"], "newer"),
        ("kubelet", "", ["1.30.0"], ""),
        ("kubelet", "1.30.0", [""], ""),
    ],
)
def test_a_component_fits_every_api_server_that_may_answer_it(
    component: str, version: str, servers: list[str], said: str
) -> None:
    told = list(skew.beside_apiservers(component, version, servers))
    assert [said] == [said for each in told if said in each] if said else told == []


@pytest.mark.parametrize(
    ("versions", "fits"),
    [(["1.30.0", "1.30.4"], True), (["1.30.0", "1.31.0"], True), (["1.29.0", "1.31.0"], False), ([], True)],
)
def test_api_servers_are_one_minor_apart_at_most(versions: list[str], *, fits: bool) -> None:
    assert (list(skew.of_apiservers(versions)) == []) is fits


@pytest.mark.parametrize(
    ("proxy", "kubelet", "fits"),
    [
        ("1.30.0", "1.27.0", True),
        ("1.27.0", "1.30.0", True),
        ("1.26.0", "1.30.0", False),
        ("1.24.0", "1.27.0", False),
        ("", "1.27.0", True),
    ],
)
def test_a_kube_proxy_is_near_its_kubelet(proxy: str, kubelet: str, *, fits: bool) -> None:
    assert (list(skew.beside_kubelet(proxy, kubelet)) == []) is fits
