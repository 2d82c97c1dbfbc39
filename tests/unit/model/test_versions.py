from __future__ import annotations

import pytest

from scaler.model import versions
from scaler.model.version_facts import Row, facts


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


def before(version: str) -> str:
    """Return the last release of the minor before ``version``'s."""
    major, number = versions.minor(version)
    return f"{major}.{number - 1}.99"


def sample(flag: str) -> str:
    return flag.replace("*", "x")


REMOVED = [
    (component, flag, row.removed)
    for component, flags in facts().flags.items()
    for flag, row in flags.items()
    if row.removed
]
FIELDS = [
    (kind, field, row.since) for kind, told in facts().kinds.items() for field, row in told.fields.items() if row.since
]
ROWS = [
    *(row for flags in facts().flags.values() for row in flags.values()),
    *(row for kind in facts().kinds.values() for row in kind.fields.values()),
    *facts().gates.values(),
    *(row for settings in facts().values.values() for rows in settings.values() for row in rows.values()),
]


@pytest.mark.parametrize(("component", "flag", "first"), REMOVED)
def test_each_removed_flag_is_there_just_before_and_gone_from_then_on(component: str, flag: str, first: str) -> None:
    named = "kubelet" if component == "all" else component
    assert not versions.has_flag(f"{first}.0", named, sample(flag))
    assert not versions.has_flag("9.99.0", named, sample(flag))
    assert versions.has_flag(before(first), named, sample(flag))


@pytest.mark.parametrize(("kind", "field", "first"), FIELDS)
def test_each_field_is_unknown_just_before_and_known_from_then_on(kind: str, field: str, first: str) -> None:
    assert versions.has_field(f"{first}.0", kind, field)
    assert not versions.has_field(before(first), kind, field)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_its_versions_in_the_order_in_which_they_come(row: Row) -> None:
    told = [versions.parts(v) for v in (row.since, row.changed, row.deprecated, row.removed) if v]
    assert told == sorted(told)
    assert told


@pytest.mark.parametrize("kind", ["KubeletConfiguration", "KubeProxyConfiguration"])
def test_every_field_with_a_row_is_one_of_its_kind(kind: str) -> None:
    told = facts().kinds[kind]
    assert [f for f, row in told.fields.items() if not row.since and f not in told.base] == []
    assert [f for f in told.fields if not versions.knows_field(kind, f)] == []


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("evictionHard.memory.available", True),
        ("authentication.x509.clientCAFile", True),
        ("authentication.x509", True),
        ("authentication.x509.clientCAFil", False),
        ("clusterDns", False),
    ],
)
def test_what_a_map_holds_is_the_users_and_other_fields_are_told(field: str, *, known: bool) -> None:
    assert versions.knows_field("KubeletConfiguration", field) is known


def test_a_field_of_a_field_is_there_with_it() -> None:
    assert not versions.has_field("1.21.0", "KubeletConfiguration", "memorySwap.swapBehavior")
    assert versions.has_field("1.22.0", "KubeletConfiguration", "memorySwap.swapBehavior")


def test_a_field_that_was_always_there_is_known() -> None:
    assert versions.has_field("1.20.0", "KubeletConfiguration", "clusterDNS")


MINORS = [f"1.{number}" for number in range(20, 38)]


@pytest.mark.parametrize("minor", MINORS)
def test_every_supported_kubelet_has_a_containerd_that_fits(minor: str) -> None:
    least, below = versions.containerd_bounds(f"{minor}.0")
    assert least
    assert below is None or versions.parts(least) < versions.parts(below)


def test_a_newer_kubelet_never_needs_an_older_containerd() -> None:
    least = [versions.parts(versions.containerd_bounds(f"{minor}.0")[0] or "") for minor in MINORS]
    assert least == sorted(least)


@pytest.mark.parametrize("minor", MINORS)
def test_every_supported_minor_may_join_itself_and_not_the_one_before(minor: str) -> None:
    assert versions.supported(f"{minor}.0")
    assert versions.kubelet_may_join(f"{minor}.0", f"{minor}.9")
    assert not versions.kubelet_may_join(f"{minor}.0", before(minor))


@pytest.mark.parametrize("version", ["1.19.99", "1.38.0", "2.20.0", "0.20.0"])
def test_no_other_version_is_supported(version: str) -> None:
    assert not versions.supported(version)
