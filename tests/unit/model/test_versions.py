from __future__ import annotations

import pytest

from scaler.model import versions


@pytest.mark.parametrize(
    ("version", "component", "flag", "there"),
    [
        ("1.26.9", "kubelet", "container-runtime", True),
        ("1.27.0", "kubelet", "container-runtime", False),
        ("1.23.0", "kube-apiserver", "insecure-port", True),
        ("1.24.0", "kube-apiserver", "insecure-port", False),
        ("1.25.0", "kube-scheduler", "logtostderr", True),
        ("1.26.0", "kube-scheduler", "logtostderr", False),
        ("3.6.0", "etcd", "experimental-initial-corrupt-check", True),
        ("3.7.0", "etcd", "experimental-initial-corrupt-check", False),
        ("1.37.0", "kubelet", "kubeconfig", True),
    ],
)
def test_a_flag_is_there_until_it_is_removed(version: str, component: str, flag: str, *, there: bool) -> None:
    assert versions.has_flag(version, component, flag) is there


@pytest.mark.parametrize(("version", "there"), [("1.26.15", False), ("1.27.0", True), ("1.37.0", True)])
def test_a_field_is_there_from_its_first_version_on(version: str, *, there: bool) -> None:
    assert versions.has_field(version, "KubeletConfiguration", "containerRuntimeEndpoint") is there


@pytest.mark.parametrize(
    ("version", "bounds"),
    [
        ("1.20.2", ("1.5.0", "2.0")),
        ("1.22.0", ("1.5.5", "2.0")),
        ("1.23.0", ("1.5.8", None)),
        ("1.37.0", ("2.2.0", None)),
    ],
)
def test_each_kubelet_has_its_containerd(version: str, bounds: tuple[str, str | None]) -> None:
    assert versions.containerd_bounds(version) == bounds


@pytest.mark.parametrize(
    ("kubelet", "server", "may"),
    [
        ("1.20.2", "1.20.2", True),
        ("1.20.9", "1.20.2", True),
        ("1.21.0", "1.20.2", False),
        ("1.25.0", "1.27.0", True),
        ("1.24.0", "1.27.0", False),
        ("1.25.0", "1.28.0", True),
        ("1.24.0", "1.28.0", False),
    ],
)
def test_a_kubelet_is_never_newer_and_at_most_two_or_three_minors_older(
    kubelet: str, server: str, *, may: bool
) -> None:
    assert versions.kubelet_may_join(kubelet, server) is may


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("v1.20.2", (1, 20, 2)), ("1.6.20~ds1", (1, 6, 20)), ("1.30.0-rc.1", (1, 30, 0, 1)), ("?", ())],
)
def test_versions_compare_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert versions.parts(text)[:3] == numbers[:3]


@pytest.mark.parametrize(("version", "refuses"), [("1.34.9", False), ("1.35.0", True)])
def test_cgroup_v1_is_refused_from_1_35_on(version: str, *, refuses: bool) -> None:
    assert versions.refuses_cgroup_v1(version) is refuses
