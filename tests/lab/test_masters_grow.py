"""What holds while a control plane grows from one master to three, behind each kind of load balancer."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler.lab import lab
from scaler.lab.tools import wait_until
from tests.lab.conftest import Cluster, kept, made
from tests.lab.masters import Masters, equal, holds_vip, lead, members, voters
from tests.lab.writing import Written, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.alone]

KINDS = {
    "nginx": ("--loadbalancer", "nginx", "--vip", "--loadbalancers", "2"),
    "local": ("--loadbalancer", "local", "--loadbalancers", "0"),
}


class Grown(NamedTuple):
    kind: str
    cluster: Cluster
    code: int
    envelope: dict[str, Any]
    written: Written
    before: dict[str, dict[str, str]]


@pytest.fixture(scope="module", params=["haproxy", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS)])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """Grow it, while a writer writes where clients are: through the VIP, or from a worker through its own balancer."""
    kind, name = request.param, f"grow-{request.param}"
    workers = ("--masters", "3", "--workers", "2" if kind == "local" else "0")
    try:
        if kind == "haproxy":
            cluster: Cluster = request.getfixturevalue("fronted")
        else:
            cluster = made(name, tmp_path_factory.mktemp("state"), keep=kept(), up=(*KINDS[kind], *workers))
        Masters(cluster).shrink()
        on, endpoint = None, ""
        if kind == "local":
            if "n1" not in cluster.nodes():
                code, told = cluster.add("n1", "n2")
                assert code == 0, told
            on, endpoint = cluster.hosts["n1"], "127.0.0.1:6443"
        before = {host: cluster.processes(host) for host in cluster.hosts}
        with writing(cluster.where, f"grown-{secrets.token_hex(3)}", on=on, endpoint=endpoint) as written:
            code, envelope = cluster.change("add-master", "m2", "m3")
        yield Grown(kind, cluster, code, envelope, written, before)
    finally:
        if not kept() and kind != "haproxy":
            lab.down(name)


def test_three_masters_vote_and_serve(grown: Grown) -> None:
    assert (grown.code, grown.envelope["data"]["added"]) == (0, ["m2", "m3"]), grown.envelope
    assert voters(grown.cluster) == {"m1", "m2", "m3"}
    assert not any(member.get("isLearner") for member in members(grown.cluster).values())


def test_no_write_failed_none_waited_half_a_second_and_all_are_readable(grown: Grown) -> None:
    assert grown.written.clean, grown.written.told


def test_every_set_is_equal(grown: Grown) -> None:
    assert equal(grown.envelope), grown.envelope["data"]["measures"]["sets"]


def test_the_first_member_of_etcd_was_not_restarted(grown: Grown) -> None:
    def etcd(processes: dict[str, str]) -> dict[str, str]:
        return {name: at for name, at in processes.items() if name.startswith("etcd ")}

    assert etcd(grown.cluster.processes("m1")) == etcd(grown.before["m1"])


def test_the_load_balancers_were_reloaded_and_never_restarted(grown: Grown) -> None:
    for host, processes in grown.before.items():
        now = grown.cluster.processes(host)
        # The oldest process of its kind is the master that reloads.
        for unit in ("haproxy", "nginx", "keepalived"):
            mine = {at for name, at in processes.items() if name.startswith(unit)}
            if mine:
                first = min(mine, key=int)
                assert first in now.values(), f"{unit} of {host}"


def test_the_masters_components_talk_to_their_own_api_server(grown: Grown) -> None:
    for name in ("m2", "m3"):
        host = grown.cluster.hosts[name]
        for path in ("/etc/kubernetes/controller-manager.kubeconfig", "/var/lib/kubelet/kubelet.kubeconfig"):
            assert f"server: https://{host.address}:6443" in host.exec(["cat", path]).out


def test_the_masters_are_tainted_and_ready(grown: Grown) -> None:
    nodes = grown.cluster.nodes()
    for name in ("m2", "m3"):
        assert [t["effect"] for t in nodes[name]["spec"]["taints"]] == ["NoSchedule"]
        assert "Ready" in [c["type"] for c in nodes[name]["status"]["conditions"] if c["status"] == "True"]


def test_the_inventory_has_them_last_in_both_groups_and_its_comments(grown: Grown) -> None:
    text = grown.cluster.inventory.read_text()
    masters, etcd = text.split("masters:")[1].split("etcd:")
    assert re.findall(r"(m\d):", masters) == ["m1", "m2", "m3"]
    assert re.findall(r"(m\d):", etcd.split("loadbalancers:")[0]) == ["m1", "m2", "m3"]
    assert re.findall("#.*", text) == re.findall("#.*", grown.cluster.baseline.decode())


def test_a_snapshot_was_taken_before_each_member_and_is_whole_and_private(grown: Grown) -> None:
    place = grown.cluster.state / grown.cluster.where.name / "snapshots"
    snapshots = sorted(place.glob(f"etcd-{grown.envelope['data']['run']}-*.db"))
    assert [path.stem.rpartition("-")[2] for path in snapshots] == ["m2", "m3"]
    assert all(path.stat().st_mode & 0o777 == 0o600 and path.stat().st_size > 10_000 for path in snapshots)


def test_the_ids_of_the_members_are_in_the_journal(grown: Grown) -> None:
    journal = grown.cluster.state / grown.cluster.where.name / "runs" / f"{grown.envelope['data']['run']}.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    noted = {event["data"].get("member") for event in events if event["kind"] == "step-fact"}
    assert {f"{members(grown.cluster)[name]['ID']:x}" for name in ("m2", "m3")} <= noted
    assert "PRIVATE" not in journal.read_text()


def test_adding_them_again_changes_nothing(grown: Grown) -> None:
    cluster = grown.cluster
    before = {name: (cluster.tree(name), cluster.processes(name)) for name in cluster.hosts}
    code, envelope = cluster.change("add-master", "m2", "m3")
    assert (code, envelope["data"]["changed"], envelope["data"]["present"]) == (0, False, ["m2", "m3"])
    assert {name: (cluster.tree(name), cluster.processes(name)) for name in cluster.hosts} == before


def test_a_balancer_that_dies_is_replaced_by_the_other(grown: Grown) -> None:
    """The VIP moves, with local balancers the API server they are on: the API answers within ten seconds."""
    cluster = grown.cluster
    if grown.kind == "local":
        cluster.hosts["m2"].kill()
    else:
        holder = next(name for name in ("lb1", "lb2") if holds_vip(cluster, name))
        cluster.hosts[holder].kill()
    try:
        wait_until(lambda: cluster.kubectl("get", "--raw", "/readyz").strip() == "ok", "the API answers", timeout=10)
    finally:
        for host in cluster.hosts.values():
            host.power_on()


@pytest.mark.long
@pytest.mark.parametrize("grown", ["haproxy"], indirect=True)
def test_its_leader_leaves_and_no_write_fails_or_waits_half_a_second(grown: Grown) -> None:
    """Last, since the others look at three masters; test_masters_leave looks at all that a leaving master does."""
    cluster = grown.cluster
    lead(cluster, "m2")
    with writing(cluster.where, f"leaves-{secrets.token_hex(3)}") as written:
        code, envelope = cluster.change("remove-master", "m2", "--allow-even")
    assert (code, envelope["data"]["removed"]) == (0, ["m2"]), envelope
    assert written.clean, written.told
    assert voters(cluster) == {"m1", "m3"}
    assert equal(envelope), envelope["data"]["measures"]["sets"]
    assert set(cluster.nodes()) == {"m1", "m3"}
    assert cluster.processes("m2") == {}
