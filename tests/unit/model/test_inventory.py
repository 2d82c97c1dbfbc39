from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from scaler.errors import InputError
from scaler.model.base import tell
from scaler.model.inventory import Connection
from tests.unit.examples import M1, W1, cluster, host, settings


def test_settings_have_sensible_defaults() -> None:
    made = settings()
    assert (made.cluster_domain, made.runtime_source, made.api_host, made.api_port) == (
        "cluster.local",
        "distribution",
        "192.0.2.10",
        6443,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kubernetes_version": "1.19.0"}, "is not one of 1.20 to 1.37"),
        ({"kubernetes_version": "1.38.0"}, "is not one of 1.20 to 1.37"),
        ({"runtime_source": "store"}, "needs containerd_version and runc_version"),
        ({"service_cidr": "10.244.1.0/24", "cluster_dns": "10.244.1.10"}, "overlap"),
        ({"cluster_dns": "10.97.0.10"}, "is not in service_cidr"),
        ({"pod_cidr_node_mask": 8}, "does not fit pod_cidr"),
        ({"pod_cidr": "10.244.0.1/16"}, "is not a network"),
        ({"bin_dir": "/usr/local/bin; rm -rf /"}, "is not an absolute path"),
        ({"images": ("busybox.tar",)}, "is not an archive's path"),
        ({"kubernetes_arch": "s390x"}, "amd64"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        settings(**changes)


def test_an_ipv6_endpoint_keeps_its_brackets_and_its_host_has_none() -> None:
    made = settings(api_endpoint="[2001:db8::1]:6443")
    assert (made.api_endpoint, made.api_host) == ("[2001:db8::1]:6443", "2001:db8::1")


def test_two_hosts_with_one_address_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"192\.0\.2\.21 belongs to both w1 and twin"):
        cluster(standby=(host("twin", 21),))


def test_a_host_may_be_in_two_groups() -> None:
    assert list(cluster(workers=(W1,), etcd=(M1,)).hosts()) == ["m1", "w1", "lb1", "n1", "n2"]


@pytest.mark.parametrize(("user", "needs"), [("root", False), ("ops", True)])
def test_only_another_user_than_root_needs_sudo(user: str, *, needs: bool) -> None:
    assert Connection(address="192.0.2.1", user=user).needs_sudo is needs


def test_values_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        W1.connection.user = "ops"  # type: ignore[misc]


def test_a_finding_is_told_with_file_path_and_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"address": "m3.local", "port": 0})
    told = tell("inventories/prod/hosts.yml: host m3", caught.value, names={"address": "ansible_host"})
    assert isinstance(told, InputError)
    assert "inventories/prod/hosts.yml: host m3: ansible_host: is not an IP address (given: 'm3.local')" in told.message
    assert "port: " in told.message
