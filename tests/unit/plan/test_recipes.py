from __future__ import annotations

import pytest

from scaler import steps
from scaler.errors import InputError, PreflightError
from scaler.plan.plan import Plan
from scaler.plan.recipes import add_etcd, add_master, add_node, init
from scaler.plan.recipes.add_node import RUN_ANNOTATION, Standing
from tests.unit.examples import M1, N1, N2, W1, cluster, host, node, settings, state

OLD = (node("m1", "192.0.2.11", cidr="10.244.0.0/24"), node("w1", "192.0.2.21", cidr="10.244.1.0/24"))
MARK = {RUN_ANNOTATION: "earlier"}


@pytest.mark.parametrize(
    ("listed", "there", "standing"),
    [
        (False, None, Standing.NEW),
        (True, None, Standing.NEW),
        (False, node("n1", "192.0.2.31"), Standing.ADOPTED),
        (True, node("n1", "192.0.2.31"), Standing.PRESENT),
        (True, node("n1", "192.0.2.31", annotations=MARK), Standing.UNFINISHED),
        (False, node("n1", "192.0.2.31", annotations=MARK), Standing.UNFINISHED),
        (False, node("n1", "", ready=False, annotations=MARK), Standing.UNFINISHED),
    ],
)
def test_a_host_is_what_inventory_and_cluster_say_together(listed: bool, there: object, standing: Standing) -> None:  # noqa: FBT001
    known = cluster(workers=(W1, N1), standby=()) if listed else cluster()
    nodes = OLD if there is None else (*OLD, there)
    assert add_node.standing(N1, known, state(*nodes)) is standing


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (node("n1", "192.0.2.99"), "the inventory says 192.0.2.31, its node has 192.0.2.99"),
        (node("n1", "192.0.2.31", ready=False), "a worker of this cluster already and not Ready: why"),
    ],
)
def test_a_listed_worker_that_contradicts_the_cluster_is_refused(there: object, reason: str) -> None:
    with pytest.raises(PreflightError, match=reason):
        add_node.standing(N1, cluster(workers=(W1, N1), standby=()), state(*OLD, there))  # type: ignore[arg-type]


def test_a_node_that_is_not_ready_and_nobodys_is_refused() -> None:
    with pytest.raises(PreflightError, match="n1 is a node already, not Ready, and no run of scaler made it: why"):
        add_node.standing(N1, cluster(), state(*OLD, node("n1", "192.0.2.31", ready=False)))


def test_new_hosts_get_every_step_in_one_batch() -> None:
    plan = add_node.plan(cluster(), state(*OLD), [N1, N2])
    assert [spec.step for spec in plan.steps] == list(add_node.STEPS)
    assert {spec.hosts for spec in plan.steps} == {("n1", "n2")}
    assert plan.on_failure == "isolate"


def test_the_inventory_is_written_last() -> None:
    assert add_node.plan(cluster(), state(*OLD), [N1]).steps[-1].step == "inventory_written"


def test_what_is_there_needs_nothing() -> None:
    plan = add_node.plan(cluster(), state(*OLD), [W1])
    assert (plan.empty, plan.present) == (True, ("w1",))


def test_a_node_outside_the_inventory_is_proven_and_written_and_otherwise_left_alone() -> None:
    plan = add_node.plan(cluster(), state(*OLD, node("n1", "192.0.2.31")), [N1, N2])
    by_step = {spec.step: spec.hosts for spec in plan.steps}
    assert by_step["worker_installed"] == ("n2",)
    assert by_step["join_verified"] == by_step["inventory_written"] == ("n1", "n2")


def test_only_adopted_nodes_make_a_plan_of_proof_and_inventory() -> None:
    plan = add_node.plan(cluster(), state(*OLD, node("n1", "192.0.2.31")), [N1])
    assert [spec.step for spec in plan.steps] == ["join_verified", "inventory_written"]


def test_more_nodes_than_pod_ranges_are_refused_before_anything() -> None:
    small = cluster(settings=settings(pod_cidr="10.244.0.0/22", pod_cidr_node_mask=24))
    full = state(*OLD, node("w2", "192.0.2.22", cidr="10.244.2.0/24"))
    add_node.plan(small, full, [N1])
    with pytest.raises(PreflightError, match="1 node ranges"):
        add_node.plan(small, full, [N1, N2])


def test_a_cluster_whose_network_gives_no_ranges_is_not_counted() -> None:
    bare = state(node("m1", "192.0.2.11"), node("w1", "192.0.2.21"))
    small = cluster(settings=settings(pod_cidr="10.244.0.0/24"))
    assert not add_node.plan(small, bare, [N1, N2]).empty


def test_a_plan_is_the_same_each_time_and_survives_json() -> None:
    plans = [add_node.plan(cluster(), state(*OLD), [N2, N1], warnings=["w"]) for _ in range(2)]
    assert plans[0] == plans[1]
    assert Plan.model_validate(plans[0].to_json()) == plans[0]


def test_hosts_may_come_one_by_one() -> None:
    assert add_node.plan(cluster(), state(*OLD), iter([N1, N2])) == add_node.plan(cluster(), state(*OLD), [N1, N2])


def test_every_step_a_recipe_names_exists() -> None:
    masters = (*add_master.REHEARSAL, *add_master.MEMBER, *add_master.SERVICE, *add_master.END)
    for name in (*add_node.STEPS, *init.BEFORE_NODES, *masters, *add_etcd.BEFORE, *add_etcd.AFTER):
        assert steps.find(name).title


def test_init_makes_one_master_with_its_own_etcd() -> None:
    plan = init.plan(cluster())
    assert [spec.step for spec in plan.steps][:2] == ["pki_made", "master_installed"]
    assert plan.on_failure == "stop"


def test_init_of_an_etcd_on_a_host_of_its_own_begins_with_that_member() -> None:
    e1 = host("e1", 41)
    plan = init.plan(cluster(etcd=(e1,)))
    assert [(spec.step, spec.hosts) for spec in plan.steps][:3] == [
        ("pki_made", ("m1",)),
        ("etcd_installed", ("e1",)),
        ("master_installed", ("m1",)),
    ]
    assert [each.name for each in plan.hosts] == ["m1", "e1", "lb1"]


@pytest.mark.parametrize(
    ("masters", "etcd"), [((M1, host("m2", 12)), (M1,)), ((M1,), ()), ((M1,), (M1, host("e1", 41)))]
)
def test_init_refuses_anything_else(masters: tuple[object, ...], etcd: tuple[object, ...]) -> None:
    with pytest.raises(InputError, match="init makes one master and one member of etcd"):
        init.plan(cluster(masters=masters, etcd=etcd))
