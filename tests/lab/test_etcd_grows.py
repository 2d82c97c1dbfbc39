"""What holds while an etcd on hosts of its own grows from one member to three, and its masters from one to two."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler.lab import lab
from tests.lab.conftest import Cluster, kept, made
from tests.lab.masters import equal, members
from tests.lab.writing import Written, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.alone]

NAME = "grow-etcd"


class Grown(NamedTuple):
    cluster: Cluster
    masters: tuple[int, dict[str, Any]]
    etcd: tuple[int, dict[str, Any]]
    written: Written
    before: dict[str, str]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    up = ("--masters", "2", "--etcd", "3", "--workers", "0")
    try:
        cluster = made(NAME, tmp_path_factory.mktemp("state"), keep=False, up=up)
        before = cluster.processes("e1")
        with writing(cluster.where, f"etcd-{secrets.token_hex(3)}") as written:
            masters = cluster.change("add-master", "m2")
            etcd = cluster.change("add-etcd", "e2", "e3")
        yield Grown(cluster, masters, etcd, written, before)
    finally:
        if not kept():
            lab.down(NAME)


def test_a_second_master_needs_no_member_of_its_own(grown: Grown) -> None:
    code, envelope = grown.masters
    assert (code, envelope["data"]["added"], equal(envelope)) == (0, ["m2"], True), envelope
    assert "etcd" not in {name.split()[0] for name in grown.cluster.processes("m2")}


def test_three_members_vote(grown: Grown) -> None:
    code, envelope = grown.etcd
    assert (code, envelope["data"]["added"]) == (0, ["e2", "e3"]), envelope
    told = members(grown.cluster, on="e1")
    assert set(told) == {"e1", "e2", "e3"}
    assert not any(member.get("isLearner") for member in told.values())


def test_no_write_failed_none_waited_half_a_second_and_all_are_readable(grown: Grown) -> None:
    assert grown.written.clean, grown.written.told


def test_every_api_server_knows_every_member_and_all_sets_are_equal(grown: Grown) -> None:
    assert equal(grown.etcd[1]), grown.etcd[1]["data"]["measures"]["sets"]
    for master in ("m1", "m2"):
        text = grown.cluster.hosts[master].exec(["cat", "/etc/kubernetes/kube-apiserver.env"]).out
        urls = {f"https://{grown.cluster.hosts[name].address}:2379" for name in ("e1", "e2", "e3")}
        assert set(text.strip().rpartition("=")[2].split(",")) == urls


def test_the_first_member_was_not_restarted(grown: Grown) -> None:
    assert grown.cluster.processes("e1") == grown.before


def test_the_inventory_has_them_in_their_groups(grown: Grown) -> None:
    text = grown.cluster.inventory.read_text()
    masters, etcd = text.split("masters:")[1].split("etcd:")
    assert re.findall(r"(\w\d):", masters) == ["m1", "m2"]
    assert re.findall(r"(\w\d):", etcd.split("loadbalancers:")[0]) == ["e1", "e2", "e3"]


def test_adding_them_again_changes_nothing(grown: Grown) -> None:
    cluster = grown.cluster
    before = {name: (cluster.tree(name), cluster.processes(name)) for name in cluster.hosts}
    code, envelope = cluster.change("add-etcd", "e2", "e3")
    assert (code, envelope["data"]["changed"], envelope["data"]["present"]) == (0, False, ["e2", "e3"])
    assert {name: (cluster.tree(name), cluster.processes(name)) for name in cluster.hosts} == before


def test_a_host_of_etcd_has_no_key_of_the_clusters_authority(grown: Grown) -> None:
    pki = grown.cluster.where.inventory / "pki"
    line = (pki / "ca.key").read_text().splitlines()[1]
    found = grown.cluster.hosts["e2"].exec(["grep", "-rlF", f"-e{line}", "/etc", "/var/lib", "/root"], check=False)
    assert found.out == ""
