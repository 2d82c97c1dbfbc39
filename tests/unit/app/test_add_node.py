from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.app.add_node import Prepared, choose, prepare
from scaler.errors import InputError, IntegrityError, PreflightError, UnreachableError
from scaler.plan.recipes.add_node import ADOPTION, RUN_ANNOTATION, STEPS
from tests.fakes import world
from tests.fakes.session import FakeSession, VerifiedStore, facts, session

if TYPE_CHECKING:
    from pathlib import Path

NEW = world.hosts("n1", "n2", "n3")


@pytest.fixture
def live(tmp_path: Path) -> FakeSession:
    return session(tmp_path, NEW, standby=NEW, workers=(world.host("w1", 2),))


def prepared(live: FakeSession, *names: str, keep_going: bool = False) -> Prepared:
    chosen = [each for each in (*NEW, world.host("w1", 2)) if each.name in names]
    return prepare(live, chosen, keep_going=keep_going, progress=lambda _: None)


def unfit(live: FakeSession, name: str) -> None:
    (host,) = (each for each in NEW if each.name == name)
    live.fakes.ssh.machines[name].facts = facts(host, swaps=["/dev/sda2"], resolv_conf=False)


def test_hosts_are_chosen_by_their_names_in_the_order_given(live: FakeSession) -> None:
    assert [host.name for host in choose(live.cluster, ["n2", "n1"], [])] == ["n2", "n1"]


def test_a_load_balancer_becomes_a_master_only_where_it_is_on_standby_too(tmp_path: Path) -> None:
    lb1, lb2 = world.host("lb1", 51), world.host("lb2", 52)
    cluster = world.cluster(tmp_path, loadbalancers=(lb1, lb2), standby=(lb2,))
    assert choose(cluster, ["lb2"], [], to_be="master") == (lb2,)
    with pytest.raises(InputError, match="lb1 is one of the loadbalancers"):
        choose(cluster, ["lb1"], [], to_be="master")


def test_a_host_that_is_given_whole_is_chosen_as_given(live: FakeSession) -> None:
    new = world.host("n7", 77, user="ops")
    assert choose(live.cluster, [], [new]) == (new,)


def test_an_unknown_name_is_refused_with_the_hosts_on_standby(live: FakeSession) -> None:
    with pytest.raises(InputError, match="n9 is not in") as refused:
        choose(live.cluster, ["n9"], [])
    assert "n1, n2, n3" in refused.value.hint


@pytest.mark.parametrize("group", ["masters", "etcd", "loadbalancers"])
def test_a_host_with_another_duty_cannot_become_a_worker(tmp_path: Path, group: str) -> None:
    groups = {"masters": (world.host("m1", 1),), "etcd": (), "loadbalancers": ()}
    groups[group] = (world.host("x1", 9),)
    with pytest.raises(InputError, match=f"x1 is one of the {group}"):
        choose(world.cluster(tmp_path, **groups), ["x1"], [])


def test_an_address_that_is_anothers_is_refused_with_its_owner(live: FakeSession) -> None:
    with pytest.raises(InputError, match=r"10\.0\.0\.2 is w1's"):
        choose(live.cluster, [], [world.host("n7", 2)])


def test_a_name_that_the_inventory_has_with_another_address_is_refused(live: FakeSession) -> None:
    with pytest.raises(InputError, match=r"n1 is in .* with address 10\.0\.0\.11"):
        choose(live.cluster, [], [world.host("n1", 77)])


def test_a_host_given_twice_is_refused(live: FakeSession) -> None:
    with pytest.raises(InputError, match="name n1 is given twice"):
        choose(live.cluster, ["n1", "n1"], [])


def test_fit_hosts_get_the_whole_plan_and_nothing_is_changed(live: FakeSession) -> None:
    before = set(live.fakes.kube.objects)
    ready = prepared(live, "n1", "n2")
    assert [step.step for step in ready.plan.steps] == list(STEPS)
    assert [host.name for host in ready.plan.hosts] == ["n1", "n2"]
    assert ready.refused == {}
    assert set(live.fakes.kube.objects) == before
    assert live.fakes.playbooks.hosts == {}


def test_the_findings_of_all_hosts_are_told_at_once(live: FakeSession) -> None:
    unfit(live, "n1")
    live.fakes.ssh.machines["n2"].unreachable = True
    with pytest.raises(PreflightError) as refused:
        prepared(live, "n1", "n2", "n3")
    for told in ("n1: refused: swap:", "n1: refused: kernel:", "n2: refused: unreachable:"):
        assert told in refused.value.message
    assert "n3" not in refused.value.message
    assert refused.value.hint == "nothing was touched; --keep-going would add the others: n3"


def test_keep_going_plans_the_fit_and_names_the_refused(live: FakeSession) -> None:
    unfit(live, "n1")
    ready = prepared(live, "n1", "n2", keep_going=True)
    assert [host.name for host in ready.plan.hosts] == ["n2"]
    assert set(ready.refused) == {"n1"}


def test_keep_going_goes_nowhere_where_all_are_refused(live: FakeSession) -> None:
    unfit(live, "n1")
    unfit(live, "n2")
    with pytest.raises(PreflightError) as refused:
        prepared(live, "n1", "n2", keep_going=True)
    assert refused.value.hint == "nothing was touched"


def test_keep_going_goes_nowhere_where_the_others_are_there_already(live: FakeSession) -> None:
    unfit(live, "n1")
    with pytest.raises(PreflightError):
        prepared(live, "n1", "w1", keep_going=True)


def test_a_warning_refuses_nobody_and_is_in_the_plan(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].clock_offset = 1.0
    ready = prepared(live, "n1")
    (warning,) = ready.plan.warnings
    assert warning.startswith("n1: its clock is 1.0 s ahead of")


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_clock_that_is_an_hour_off_is_refused_with_the_offset(live: FakeSession, offset: float) -> None:
    live.fakes.ssh.machines["n1"].clock_offset = offset
    with pytest.raises(
        PreflightError, match=f"its clock is {abs(offset)}.0 s {'ahead of' if offset > 0 else 'behind'}"
    ):
        prepared(live, "n1")


@pytest.mark.parametrize("server", ["1.19.9", "1.23.0", "1.37.0"])
def test_versions_outside_the_skew_are_refused_before_any_host_is_asked(live: FakeSession, server: str) -> None:
    live.fakes.kube.version = server
    live.fakes.ssh.machines["n1"].unreachable = True
    with pytest.raises(PreflightError, match=f"does not fit the cluster's API server {server}"):
        prepared(live, "n1")


@pytest.mark.parametrize("server", ["1.20.15", "1.21.0", "1.22.17"])
def test_versions_inside_the_skew_are_fit(live: FakeSession, server: str) -> None:
    live.fakes.kube.version = server
    assert prepared(live, "n1").plan.steps


def test_a_probe_that_answers_nonsense_refuses_its_host(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].probe_says = "Welcome!"
    with pytest.raises(PreflightError, match="n1: refused: preflight: the probe answered nonsense"):
        prepared(live, "n1")


def test_a_host_without_python_is_refused_with_the_remedy(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].probe_status = 127
    with pytest.raises(PreflightError, match=r"python3: not found → install Python 3\.8"):
        prepared(live, "n1")


def test_hosts_that_are_there_are_not_examined_and_leave_an_empty_plan(live: FakeSession) -> None:
    ready = prepared(live, "w1")
    assert ready.plan.empty
    assert ready.plan.present == ("w1",)


def test_a_worker_of_the_inventory_that_is_not_ready_is_refused(live: FakeSession) -> None:
    live.fakes.kube.add_node("w1", address="10.0.0.2", ready=False, why="kubelet stopped posting")
    with pytest.raises(PreflightError, match="w1 is a worker of this cluster already and not Ready: kubelet stopped"):
        prepared(live, "w1")


def test_a_ready_node_outside_the_inventory_is_adopted_with_its_own_files_and_ports(live: FakeSession) -> None:
    live.fakes.kube.add_node("n1", address="10.0.0.11", cidr="10.244.9.0/24", uuid="uuid-n1")
    live.fakes.ssh.machines["n1"].facts = facts(
        NEW[0], leftovers=["/etc/kubernetes"], listeners=[{"port": 10250, "process": "kubelet"}]
    )
    ready = prepared(live, "n1")
    assert [step.step for step in ready.plan.steps] == list(ADOPTION)


def test_a_node_that_an_earlier_run_left_is_finished_by_the_whole_plan(live: FakeSession) -> None:
    live.fakes.kube.add_node("n1", annotations={RUN_ANNOTATION: "20260228-120000-1234"}, uuid="uuid-n1")
    assert [step.step for step in prepared(live, "n1").plan.steps] == list(STEPS)


def test_a_name_that_another_machine_has_in_the_cluster_is_refused(live: FakeSession) -> None:
    live.fakes.kube.add_node("n1", machine_id="another")
    with pytest.raises(PreflightError, match="node n1 exists and is another machine"):
        prepared(live, "n1")


def test_too_few_pod_cidrs_for_all_refuse_all(tmp_path: Path) -> None:
    live = session(tmp_path, NEW, pod_cidr="10.244.100.0/22")
    with pytest.raises(PreflightError) as refused:
        prepared(live, "n1", "n2", "n3")
    assert "10.244.100.0/22" in refused.value.message


@pytest.mark.parametrize("error", [IntegrityError("kubelet is not what the manifest says"), UnreachableError("mirror")])
def test_binaries_that_are_not_right_refuse_all(live: FakeSession, error: Exception) -> None:
    assert isinstance(live.store, VerifiedStore)
    live.store.error = error
    with pytest.raises(type(error)) as refused:
        prepared(live, "n1")
    assert refused.value is error


def test_a_kubelet_that_says_another_version_is_refused(live: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (live.scratch / "store").mkdir()
    live.store = VerifiedStore(live.scratch / "store", "Kubernetes v1.20.12")  # type: ignore[assignment]
    with pytest.raises(IntegrityError, match=r"says 'Kubernetes v1\.20\.12'"):
        prepared(live, "n1")


def test_an_api_that_does_not_answer_is_what_the_operator_hears(live: FakeSession) -> None:
    live.fakes.kube.down = "connection refused"
    with pytest.raises(UnreachableError, match="connection refused"):
        prepared(live, "n1")


def test_twins_among_the_new_hosts_are_both_refused(live: FakeSession) -> None:
    for each in NEW[:2]:
        live.fakes.ssh.machines[each.name].facts = facts(each, machine_id="the-same")
    with pytest.raises(PreflightError) as refused:
        prepared(live, "n1", "n2")
    assert "n1: refused: identity: machine-id the-same is also n2's" in refused.value.message
    assert "n2: refused: identity: machine-id the-same is also n1's" in refused.value.message
