from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from scaler.plan.quorum import quorum
from scaler.steps.etcd_snapshot import EtcdSnapshot
from tests.fakes.control_plane import APISERVER, ETCD, KEEPALIVED, FakeControlPlane
from tests.fakes.etcd import FakeEtcd, FakeMember
from tests.unit.cli.test_add_master import invoked, opened, told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.model.etcd import Member
    from scaler.model.inventory import Host
    from scaler.steps.base import Failures, World


def gone(there: FakeControlPlane, *names: str) -> None:
    """Power hosts off."""
    for name in names:
        machine = there.machines[name]
        there.fakes.ssh.machines[name].unreachable = True
        machine.units.clear()
        there.etcd.stop(machine.host.address)
        there._endpoints()
        if name in there.fakes.kube.of("Node"):
            there.fakes.kube.objects["Node", "", name]["status"]["conditions"][0]["status"] = "False"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    return opened(FakeControlPlane(tmp_path, "m4", masters=3), monkeypatch, tmp_path)


@pytest.fixture
def fronts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    made = FakeControlPlane(tmp_path, masters=3, vip=True, on_masters=True)
    return opened(made, monkeypatch, tmp_path)


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    return opened(FakeControlPlane(tmp_path, masters=2, etcd=3), monkeypatch, tmp_path)


def removed(*argv: str) -> dict[str, Any]:
    result = told(*argv, "--yes")
    assert result["exit_code"] == 0, result
    found: dict[str, Any] = result["data"]
    return found


def test_a_leader_leaves_and_every_set_is_without_it(there: FakeControlPlane) -> None:
    data = removed("remove-master", "m1", "--allow-even")
    assert (data["removed"], data["added"]) == (["m1"], [])
    assert there.etcd.voters == ["m2", "m3"]
    assert there.lists() == {"m2": ["10.0.0.2", "10.0.0.3"], "m3": ["10.0.0.2", "10.0.0.3"]}
    assert [set(b.servers) for b in there.balancers.values()] == [{"m2", "m3"}] * 2
    assert there.groups()["masters"] == ["m2", "m3"]
    assert there.groups()["standby"] == ["m1", "m4"]
    assert "m1" not in there.fakes.kube.of("Node")
    assert there.machines["m1"].units == set()
    assert there.outages == []
    assert there.etcd.quorate_ever_since


def test_the_leader_is_moved_before_its_member_goes(there: FakeControlPlane) -> None:
    removed("remove-master", "m1", "--allow-even")
    assert there.etcd.led_by == "m2"


def test_the_api_servers_that_stay_are_held_while_the_leader_changes(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = FakeEtcd.move_leader

    def move(self: FakeEtcd, leader: Member, to: Member) -> None:
        there.events.append("move")
        moved(self, leader, to)

    monkeypatch.setattr(FakeEtcd, "move_leader", move)
    removed("remove-master", "m1", "--allow-even")
    at = there.events.index("move")
    assert {"freeze m2", "freeze m3"} <= set(there.events[:at])
    assert {"free m2", "free m3"} <= set(there.events[at:])


def test_the_others_lists_are_rolled_before_the_balancers_forget_it(there: FakeControlPlane) -> None:
    removed("remove-master", "m1", "--allow-even")
    starts = [number for number, event in enumerate(there.events) if event.startswith("start")]
    puts = [number for number, event in enumerate(there.events) if event.startswith("put")]
    assert max(starts) < min(puts)
    assert max(puts) < there.events.index("stop m1")


def test_the_same_command_again_finds_it_absent(there: FakeControlPlane) -> None:
    removed("remove-master", "m1", "--allow-even")
    events = list(there.events)
    data = removed("remove-master", "m1", "--allow-even")
    assert (data["changed"], data["present"]) == (False, ["m1"])
    assert there.events == events


def test_a_name_that_nobody_knows_is_absent(there: FakeControlPlane) -> None:
    assert removed("remove-master", "m9")["present"] == ["m9"]
    assert there.events == []


@pytest.mark.parametrize("also", ["etcd's voters", "etcd's list of members", "the nodes"])
def test_a_name_that_the_inventory_has_not_and_the_cluster_has_is_not_absent(
    there: FakeControlPlane, also: str
) -> None:
    name = "m3" if also == "etcd's voters" else "m9"
    if also == "etcd's voters":
        groups = YAML(typ="safe").load((there.directory / "hosts.yml").read_text())
        for group in ("masters", "etcd"):
            groups["all"]["children"].get(group, {"hosts": {}})["hosts"].pop(name, None)
        with (there.directory / "hosts.yml").open("w") as file:
            YAML().dump(groups, file)
    elif also == "the nodes":
        there.fakes.kube.add("Node", name)
    else:
        there.etcd.add_learner("https://10.0.0.4:2380")
        there.etcd.start(name, "10.0.0.4")
    refused = told("remove-master", name, "--allow-even", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (4, "preflight"), refused
    assert f"{also} has it" in refused["error"]["message"]
    assert there.events == []


def test_a_master_that_cannot_be_emptied_is_put_back_whole(there: FakeControlPlane) -> None:
    there.fakes.kube.add_pod("db-0", "m1", "StatefulSet/db", labels={"app": "db"})
    budget = {"selector": {"matchLabels": {"app": "db"}}, "minAvailable": 1}
    there.fakes.kube.add("PodDisruptionBudget", "db", "default", spec=budget)
    ended = told("remove-master", "m1", "--allow-even", "--yes", "--timeout", "5s")
    assert (ended["exit_code"], ended["data"]["left"]) == (9, {})
    assert "PodDisruptionBudget default/db (1 healthy, 1 wanted) does not let" in ended["error"]["message"]
    assert [set(b.servers) for b in there.balancers.values()] == [{"m1", "m2", "m3"}] * 2
    assert there.fakes.kube.of("Node")["m1"]["spec"]["unschedulable"] is False
    assert {APISERVER, ETCD} <= there.machines["m1"].units
    assert there.etcd.voters == ["m1", "m2", "m3"]
    assert there.groups()["masters"] == ["m1", "m2", "m3"]
    assert json.loads(invoked("runs", "list", "--unfinished", "--output", "json").stdout)["data"]["runs"] == []


def test_two_leave_one_after_the_other_and_the_survivor_leads(there: FakeControlPlane) -> None:
    removed("remove-master", "m1", "m2")
    assert there.etcd.voters == ["m3"]
    assert there.groups()["masters"] == ["m3"]
    assert there.outages == []


def test_the_last_master_stays(there: FakeControlPlane) -> None:
    refused = told("remove-master", "m1", "m2", "m3", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (5, "guard")
    assert "is the last master" in refused["error"]["message"]
    assert there.events == []


def test_an_even_end_is_said_aloud(there: FakeControlPlane) -> None:
    refused = told("remove-master", "m1", "--yes")
    assert refused["exit_code"] == 5
    assert "--allow-even" in refused["error"]["hint"]
    assert there.events == []


def test_a_healthy_master_does_not_leave_while_another_is_down(there: FakeControlPlane) -> None:
    there.etcd.stop("10.0.0.3")
    refused = told("remove-master", "m1", "--allow-even", "--yes")
    assert refused["exit_code"] == 5
    assert "1 of 2 voters are healthy, quorum is 2: no quorum" in refused["error"]["message"]
    assert there.events == []


def test_a_sick_member_leaves_though_its_etcd_does_not_answer(there: FakeControlPlane) -> None:
    there.machines["m3"].units.discard(ETCD)
    there.etcd.stop("10.0.0.3")
    removed("remove-master", "m3", "--allow-even")
    assert there.etcd.voters == ["m1", "m2"]


def test_one_that_cannot_be_reached_is_not_taken_for_dead(there: FakeControlPlane) -> None:
    gone(there, "m3")
    refused = told("remove-master", "m3", "--allow-even", "--yes")
    assert refused["exit_code"] != 0
    assert there.etcd.voters == ["m1", "m2", "m3"]
    assert there.events == []


def test_a_dead_master_is_never_contacted(there: FakeControlPlane) -> None:
    gone(there, "m1")
    there.holder = "lb2"
    data = removed("remove-master", "m1", "--dead", "--allow-even")
    assert there.etcd.voters == ["m2", "m3"]
    assert there.lists() == {"m2": ["10.0.0.2", "10.0.0.3"], "m3": ["10.0.0.2", "10.0.0.3"]}
    assert there.groups()["masters"] == ["m2", "m3"]
    assert there.groups()["standby"] == ["m4"]
    assert "still holds" in data["later"]["m1"]
    assert any("m1 is not contacted and still holds certificates" in line for line in data["plan"]["warnings"])


def test_a_dead_master_leaves_etcd_though_the_api_is_down_and_the_rest_follows_once_it_answers(
    there: FakeControlPlane,
) -> None:
    gone(there, "m1")
    there.fakes.kube.down = "connection refused"
    there.events.clear()
    ended = told("remove-master", "m1", "--dead", "--allow-even", "--yes")
    assert (ended["exit_code"], ended["data"]["removed"]) == (9, [])
    assert "all else that knows it stays as it is until the API answers" in ended["error"]["message"]
    assert there.etcd.voters == ["m2", "m3"]
    assert there.groups()["masters"] == ["m1", "m2", "m3"]
    assert there.events == []
    refused = told("remove-master", "m1", "--dead", "--allow-even", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (7, "unreachable")

    there.fakes.kube.down = ""
    assert invoked("runs", "resume", "--yes").exit_code == 0
    assert there.groups()["masters"] == ["m2", "m3"]
    assert "m1" not in there.fakes.kube.of("Node")


def test_an_api_that_answers_within_half_a_minute_is_not_down(there: FakeControlPlane) -> None:
    gone(there, "m1")
    there.fakes.kube.unreached = lambda _: "no route to host" if there.fakes.clock.monotonic() < 20 else ""
    refused = told("remove-master", "m1", "--dead", "--allow-even", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (7, "unreachable")
    assert there.etcd.voters == ["m1", "m2", "m3"]


def test_an_api_that_answers_at_a_master_and_not_through_its_endpoint_is_not_down(there: FakeControlPlane) -> None:
    gone(there, "m1")
    there.fakes.kube.unreached = lambda server: "" if server else "no route to host"
    refused = told("remove-master", "m1", "--dead", "--allow-even", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (7, "unreachable")
    assert there.etcd.voters == ["m1", "m2", "m3"]


def test_a_living_master_stays_whole_while_the_api_is_down(there: FakeControlPlane) -> None:
    there.fakes.kube.down = "connection refused"
    for dead in ((), ("--dead",)):
        assert told("remove-master", "m1", "--allow-even", "--yes", *dead)["exit_code"] != 0
        assert there.etcd.voters == ["m1", "m2", "m3"]


def test_a_master_that_answers_is_not_dead(there: FakeControlPlane) -> None:
    refused = told("remove-master", "m3", "--dead", "--allow-even", "--yes")
    assert refused["exit_code"] == 4
    assert "m3 is not dead: SSH answers there" in refused["error"]["message"]
    assert there.events == []


def test_without_quorum_the_restore_is_told(there: FakeControlPlane) -> None:
    gone(there, "m2", "m3")
    refused = told("remove-master", "m2", "m3", "--dead", "--yes")
    assert refused["exit_code"] == 5
    assert "0 of 3 voters are healthy, quorum is 2: no quorum" in refused["error"]["message"]
    assert "--force-new-cluster" in refused["error"]["hint"]


def test_two_of_five_dead_leave_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = opened(FakeControlPlane(tmp_path, masters=5), monkeypatch, tmp_path)
    gone(there, "m4", "m5")
    removed("remove-master", "m4", "m5", "--dead")
    assert there.etcd.voters == ["m1", "m2", "m3"]
    assert there.groups()["masters"] == ["m1", "m2", "m3"]


def test_a_foreign_member_is_named(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(9, "https://10.9.9.9:2380", "stranger"))
    refused = told("remove-master", "m1", "--allow-even", "--yes")
    assert refused["exit_code"] == 4
    assert "etcd's voters: stranger is none of the inventory's" in refused["error"]["message"]


def test_the_holder_of_the_vip_leaves_and_another_has_it(fronts: FakeControlPlane) -> None:
    removed("remove-master", "m1", "--allow-even")
    assert fronts.holder == "m2"
    assert KEEPALIVED not in fronts.machines["m1"].units
    assert fronts.groups()["loadbalancers"] == ["m2", "m3"]
    assert set(fronts.balancers) == {"m2", "m3"}
    assert fronts.outages == []


HANDOVER = ("hold", "send", "let", "stop Keepalived")


def test_a_dead_master_that_was_a_load_balancer_too_is_never_asked(fronts: FakeControlPlane) -> None:
    gone(fronts, "m1")
    fronts.holder = "m2"
    removed("remove-master", "m1", "--dead", "--allow-even")
    assert fronts.groups()["masters"] == fronts.groups()["loadbalancers"] == ["m2", "m3"]
    assert fronts.lists() == {"m2": ["10.0.0.2", "10.0.0.3"], "m3": ["10.0.0.2", "10.0.0.3"]}


def test_connections_outlive_the_vips_move_until_the_host_is_wiped(fronts: FakeControlPlane) -> None:
    removed("remove-master", "m1", "--allow-even")
    told = [event for event in fronts.events if event.startswith(HANDOVER)]
    assert (told[0], set(told[1:3]), told[3]) == ("hold m1", {"send on m2", "send on m3"}, "stop Keepalived m1")
    assert set(told[4:]) == {"let go m1", "send nothing on m2", "send nothing on m3"}
    assert fronts.events.index("front removed m1") < fronts.events.index("let go m1")


def test_where_connections_cannot_outlive_it_that_is_said_and_the_vip_moves(fronts: FakeControlPlane) -> None:
    fronts.no_handover = 1
    data = removed("remove-master", "m1", "--allow-even")
    assert fronts.holder == "m2"
    assert "packets for the VIP may still be sent on to it: m1: no TEE target" in data["later"]["m1"]


def test_where_the_vip_does_not_move_nothing_else_is_begun(fronts: FakeControlPlane) -> None:
    fronts.vip_moves = False
    refused = told("remove-master", "m1", "--allow-even", "--yes")
    assert refused["exit_code"] == 9
    assert "the VIP 10.0.0.100 did not move from m1: m1 still has it" in refused["data"]["failed"]["m1"]
    assert [event for event in fronts.events if event.startswith("put")] == []
    assert fronts.etcd.voters == ["m1", "m2", "m3"]


def test_a_lease_that_stays_is_deleted(there: FakeControlPlane) -> None:
    there.keeps_lease.add("m1")
    delete = there.etcd.delete

    def deleted(key: str) -> None:
        delete(key)
        there._endpoints()

    there.etcd.delete = deleted  # type: ignore[method-assign]
    removed("remove-master", "m1", "--allow-even")
    assert there.etcd.deleted == ["/registry/masterleases/10.0.0.1"]


def test_an_answer_that_was_lost_is_looked_for_in_the_list(there: FakeControlPlane) -> None:
    there.etcd.led_by = "m2"
    there.etcd.lost_answers = 1
    removed("remove-master", "m1", "--allow-even")
    assert there.etcd.voters == ["m2", "m3"]


def test_a_master_whose_member_is_out_is_not_put_back_though_no_answer_came(there: FakeControlPlane) -> None:
    def out() -> None:
        if there.etcd.voters == ["m2", "m3", "m4"]:
            there.etcd.deaf = 1000

    there.etcd.changed.append(out)
    ended = told("replace-master", "m1", "m4", "--yes")
    assert ended["exit_code"] != 0
    assert "m1" in ended["data"]["left"], ended
    assert APISERVER not in there.machines["m1"].units
    there.etcd.deaf = 0
    assert invoked("runs", "resume", "--yes").exit_code == 0
    assert there.groups()["masters"] == ["m2", "m3", "m4"]


def test_a_dead_member_that_is_well_again_stays(there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    gone(there, "m1")
    snapshot = EtcdSnapshot.apply

    def comes_back(step: EtcdSnapshot, world: World, hosts: Sequence[Host]) -> Failures:
        there.etcd.start("m1", "10.0.0.1")
        return snapshot(step, world, hosts)

    monkeypatch.setattr(EtcdSnapshot, "apply", comes_back)
    ended = told("remove-master", "m1", "--dead", "--allow-even", "--yes")
    assert ended["exit_code"] == 9
    assert "m1 is not dead: its member of etcd is healthy again" in ended["error"]["message"]
    assert there.etcd.voters == ["m1", "m2", "m3"]


def test_a_master_whose_member_somebody_took_out_is_drained_too(there: FakeControlPlane) -> None:
    there.etcd.remove(there.etcd.all[0].told)
    plan = told("remove-master", "m1", "--allow-even", "--plan")["data"]["plan"]
    steps = [spec["step"] for spec in plan["steps"]]
    assert steps.index("nodes_drained") < steps.index("kubelet_stopped")


def test_a_master_whose_member_somebody_took_out_is_never_put_back(there: FakeControlPlane) -> None:
    there.etcd.remove(there.etcd.all[0].told)
    there.fakes.kube.add_pod("db-0", "m1", "StatefulSet/db", labels={"app": "db"})
    budget = {"selector": {"matchLabels": {"app": "db"}}, "minAvailable": 1}
    there.fakes.kube.add("PodDisruptionBudget", "db", "default", spec=budget)
    ended = told("remove-master", "m1", "--allow-even", "--yes", "--timeout", "5s")
    assert (ended["exit_code"], list(ended["data"]["left"])) == (9, ["m1"]), ended
    assert [set(b.servers) for b in there.balancers.values()] == [{"m2", "m3"}] * 2


def test_a_replacement_whose_old_master_did_not_leave_is_finished_by_the_same_command(there: FakeControlPlane) -> None:
    there.fakes.kube.add_pod("db-0", "m1", "StatefulSet/db", labels={"app": "db"})
    budget = {"selector": {"matchLabels": {"app": "db"}}, "minAvailable": 1}
    there.fakes.kube.add("PodDisruptionBudget", "db", "default", spec=budget)
    assert told("replace-master", "m1", "m4", "--yes", "--timeout", "5s")["exit_code"] != 0
    assert there.etcd.voters == ["m1", "m2", "m3", "m4"]
    there.fakes.kube.objects.pop(("PodDisruptionBudget", "default", "db"))
    removed("replace-master", "m1", "m4")
    assert there.groups()["masters"] == ["m2", "m3", "m4"]


def test_a_run_that_ended_behind_the_removal_is_finished(there: FakeControlPlane) -> None:
    there.fakes.playbooks.fails["master_remove.yml", "m1"] = "disk full"
    failed = told("remove-master", "m1", "--allow-even", "--yes")
    assert failed["exit_code"] == 9
    assert there.etcd.voters == ["m2", "m3"]
    there.fakes.playbooks.fails.clear()
    removed("remove-master", "m1")
    assert there.groups()["masters"] == ["m2", "m3"]
    assert APISERVER not in there.machines["m1"].units


def test_a_member_of_an_etcd_of_its_own_leaves(members: FakeControlPlane) -> None:
    removed("remove-etcd", "e1", "--allow-even")
    assert members.etcd.voters == ["e2", "e3"]
    assert members.etcd.led_by == "e2"
    assert members.lists() == {"m1": ["10.0.0.32", "10.0.0.33"], "m2": ["10.0.0.32", "10.0.0.33"]}
    assert members.groups()["etcd"] == ["e2", "e3"]
    assert members.outages == []


def test_a_dead_member_of_an_etcd_of_its_own_leaves(members: FakeControlPlane) -> None:
    gone(members, "e1")
    removed("remove-etcd", "e1", "--dead", "--allow-even")
    assert members.etcd.voters == ["e2", "e3"]
    assert members.groups()["etcd"] == ["e2", "e3"]


@pytest.mark.usefixtures("members")
def test_the_last_member_stays() -> None:
    refused = told("remove-etcd", "e1", "e2", "e3", "--yes")
    assert refused["exit_code"] == 5
    assert "is the last member of etcd" in refused["error"]["message"]


def test_masters_of_an_etcd_elsewhere_leave_without_a_change_of_etcd(members: FakeControlPlane) -> None:
    removed("remove-master", "m1")
    assert members.etcd.voters == ["e1", "e2", "e3"]
    assert members.groups()["masters"] == ["m2"]
    assert members.outages == []


def test_a_dead_master_is_replaced_by_one_plan(there: FakeControlPlane) -> None:
    gone(there, "m1")
    data = removed("replace-master", "m1", "m4", "--dead")
    assert (data["removed"], data["added"]) == (["m1"], ["m4"])
    assert there.etcd.voters == ["m2", "m3", "m4"]
    assert there.groups()["masters"] == ["m2", "m3", "m4"]
    assert there.etcd.quorate_ever_since


def test_a_living_master_is_replaced_and_there_are_never_fewer(there: FakeControlPlane) -> None:
    data = removed("replace-master", "m1", "m4")
    assert (data["removed"], data["added"]) == (["m1"], ["m4"])
    assert there.etcd.voters == ["m2", "m3", "m4"]
    assert min(voters for _, voters in there.etcd.history if voters) == len(there.etcd.voters)
    assert all(healthy >= quorum(3) for healthy, _ in there.etcd.history)
    assert there.groups()["masters"] == ["m2", "m3", "m4"]
    assert there.outages == []


def test_a_dead_member_of_an_etcd_of_its_own_leaves_though_the_api_is_down(members: FakeControlPlane) -> None:
    gone(members, "e1")
    members.fakes.kube.down = "connection refused"
    assert told("remove-etcd", "e1", "--dead", "--allow-even", "--yes")["exit_code"] == 9
    assert members.etcd.voters == ["e2", "e3"]
    members.fakes.kube.down = ""
    removed("remove-etcd", "e1", "--dead", "--allow-even")
    assert members.groups()["etcd"] == ["e2", "e3"]


def test_a_master_that_is_there_already_replaces_nobody(there: FakeControlPlane) -> None:
    refused = told("replace-master", "m1", "m2", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (3, "input")
    assert "m2 is a master already" in refused["error"]["message"]
    assert there.events == []


def test_the_master_at_whose_address_everybody_asks_does_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = opened(FakeControlPlane(tmp_path, masters=3, api_endpoint="10.0.0.1:6443"), monkeypatch, tmp_path)
    refused = told("remove-master", "m1", "--allow-even", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (5, "guard")
    assert "api_endpoint 10.0.0.1:6443 is m1's own: nobody" in refused["error"]["message"]
    assert asked.events == []
    removed("remove-master", "m2", "--allow-even")
