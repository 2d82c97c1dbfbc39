from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.errors import ConflictError, GuardError, InputError
from scaler.model.pools import Autoscaling, Instance, Pool, PoolSpec
from scaler.plan.plan import Drain, Seen, StepSpec
from scaler.plan.pool_plan import Machine
from scaler.plan.recipes import pools as recipes
from scaler.plan.recipes.pools import Going

if TYPE_CHECKING:
    from scaler.plan.pool_plan import Autoscaler, PoolPlan


def pool(**more: Any) -> Pool:
    told = {
        "id": "np-1",
        "name": "web",
        "target": 4,
        "actual": 4,
        "min": 1,
        "max": 9,
        "state": "ready",
        "label": "pool",
        "value": "np-1",
    }
    return Pool.model_validate({**told, **more})


@pytest.mark.parametrize(("wanted", "size"), [("10", 10), ("+3", 7), ("-2", 2), ("0", 0)])
def test_a_size_is_absolute(wanted: str, size: int) -> None:
    assert recipes.size_of(pool(), wanted) == size


@pytest.mark.parametrize("wanted", ["", "ten", "++3", "+-3", "1.5", "-5"])
def test_what_is_no_size_is_refused(wanted: str) -> None:
    with pytest.raises(InputError):
        recipes.size_of(pool(), wanted)


@pytest.mark.parametrize(("size", "bound"), [(10, "max 9"), (0, "min 1")])
def test_a_bound_is_named(size: int, bound: str) -> None:
    with pytest.raises(GuardError, match=bound):
        recipes.may_have(pool(), size, "")


def test_a_pool_without_bounds_may_have_any_size() -> None:
    recipes.may_have(pool(min=None, max=None), 500, "")


def test_an_autoscaled_pool_needs_a_word() -> None:
    with pytest.raises(GuardError, match="autoscaler"):
        recipes.may_have(pool(autoscaled=True), 5, "")
    recipes.may_have(pool(autoscaled=True), 5, "keep")


def test_a_pinned_pool_may_go_beyond_the_bounds_that_move_with_it() -> None:
    plan = recipes.grow("prod", pool(autoscaled=True), 12, autoscaler="pin")
    recipes.may_have(pool(autoscaled=True), 12, "pin")
    assert [spec.step for spec in plan.steps] == ["pool_autoscaling_set", "pool_sized", "pool_nodes_ready"]
    assert plan.wants.autoscaling == Autoscaling(on=True, min=12, max=12)


def test_bounds_that_do_not_move_hold_for_a_pinned_size_too() -> None:
    with pytest.raises(GuardError, match="max 9"):
        recipes.may_have(pool(), 12, "pin")


def test_an_autoscaler_that_is_off_is_not_disabled_in_silence() -> None:
    told = "pool web has no autoscaler on: there is none to disable"
    assert recipes.grow("prod", pool(), 5, autoscaler="disable").warnings == (told,)
    assert recipes.grow("prod", pool(autoscaled=True), 5, autoscaler="disable").warnings == ()
    shrunk = recipes.shrink("prod", leaving(autoscaled=False), Drain(), max_unavailable=2, autoscaler="disable")
    assert shrunk.warnings == (told,)


def test_a_pool_at_work_takes_no_other_size() -> None:
    with pytest.raises(ConflictError):
        recipes.may_have(pool(state="changing"), 5, "")
    recipes.may_have(pool(state="changing"), 5, "", going=True)


def test_a_pool_that_goes_takes_no_size() -> None:
    with pytest.raises(ConflictError):
        recipes.may_have(pool(state="deleting"), 5, "", going=True)


def test_zones_get_as_many_each_and_both_neighbours_are_told() -> None:
    zonal = pool(per_zone=True, zones=("a", "b", "c"), target=3, actual=3)
    with pytest.raises(GuardError) as refused:
        recipes.may_have(zonal, 5, "")
    assert refused.value.hint == "ask for 3 or 6"
    recipes.may_have(zonal, 6, "")


def test_of_zones_with_as_many_nodes_each_any_node_may_go() -> None:
    zonal = pool(per_zone=True, zones=("a", "b", "c"), target=6, actual=6)
    recipes.may_lose(zonal, 5, "")
    # What is there is no new size.
    recipes.may_have(zonal.model_copy(update={"target": 5}), 5, "")
    with pytest.raises(GuardError, match="not a multiple of 3"):
        recipes.create("prod", zonal, PoolSpec(name="batch", size=4), there=None)


@pytest.mark.parametrize("autoscaler", ["", "keep", "pin", "disable"])
def test_no_node_goes_below_the_least(autoscaler: Any) -> None:
    with pytest.raises(GuardError):
        recipes.may_lose(pool(autoscaled=True), 0, autoscaler)


@pytest.mark.parametrize(
    ("size", "zones", "least"),
    [(7, "aaabbbc", 9), (7, "aaaabbc", 12), (6, "aabbcc", 6), (3, "", 3), (4, "", 6), (0, "", 0)],
)
def test_what_a_pool_of_zones_can_have_ends_none_of_its_machines(size: int, zones: str, least: int) -> None:
    zonal = pool(per_zone=True, zones=("a", "b", "c"))
    assert recipes.room_for(zonal, size, zones) == least
    assert recipes.room_for(pool(), size, zones) == size


def test_nodes_leave_in_batches_and_the_size_is_what_is_left() -> None:
    machines = {name: Machine(pool="np-1", instance=f"i-{name}") for name in ("n1", "n2", "n3")}
    seen = {name: Seen(uid=name) for name in ("n1", "n2")}
    going = Going(machines, {"np-1": pool()}, seen, ())
    plan = recipes.shrink("prod", going, Drain(), max_unavailable=2)
    assert [(spec.step, spec.hosts) for spec in plan.steps] == [
        ("nodes_cordoned", ("n1", "n2")),
        ("nodes_drained", ("n1", "n2")),
        ("pool_instances_removed", ("n1", "n2")),
        ("pool_instances_removed", ("n3",)),
    ]
    assert plan.wants.sizes == {"np-1": 1}


def leaving(pools: int = 1, *, autoscaled: bool = True) -> Going:
    machines = {f"n{at}": Machine(pool=f"np-{at % pools}", instance=f"i-{at}") for at in range(2)}
    there = {f"np-{at}": pool(id=f"np-{at}", autoscaled=autoscaled) for at in range(pools)}
    return Going(machines, there, {name: Seen(uid=name) for name in machines}, ())


def steps(plan: PoolPlan) -> list[str]:
    return [spec.step for spec in plan.steps]


def test_an_autoscaler_is_disabled_before_nodes_go_and_pinned_after() -> None:
    removal = ["nodes_cordoned", "nodes_drained", "pool_instances_removed"]
    for word, wanted, first, last in (
        ("disable", Autoscaling(on=False, min=1, max=9), ["pool_autoscaling_set"], []),
        ("pin", Autoscaling(on=True, min=2, max=2), [], ["pool_autoscaling_set"]),
        ("keep", None, [], []),
    ):
        plan = recipes.shrink("prod", leaving(), Drain(), max_unavailable=2, autoscaler=cast("Autoscaler", word))
        assert (steps(plan), plan.wants.autoscaling) == ([*first, *removal, *last], wanted)
        # Where it fails, it fails for all of them.
        assert all(spec.hosts == ("n0", "n1") for spec in plan.steps)
    untouched = recipes.shrink("prod", leaving(autoscaled=False), Drain(), max_unavailable=2, autoscaler="disable")
    assert steps(untouched) == removal


def test_the_autoscalers_of_several_pools_are_not_one_plans() -> None:
    with pytest.raises(GuardError, match="np-0, np-1"):
        recipes.shrink("prod", leaving(2), Drain(), max_unavailable=1, autoscaler="disable")


def test_a_node_whose_machine_is_gone_takes_nothing_off_the_size() -> None:
    machines = {"n1": Machine(pool="np-1", instance=""), "n2": Machine(pool="np-1", instance="i-2")}
    assert Going(machines, {"np-1": pool()}, {}, ()).sizes() == {"np-1": 3}


def test_the_nodes_of_a_pool_that_is_deleted_share_its_fate() -> None:
    plan = recipes.delete("prod", pool(), seen={"n1": Seen(uid="1"), "n2": Seen(uid="2")}, pods=(), drain=Drain())
    assert plan.steps[-1] == StepSpec(step="pool_deleted", hosts=("n1", "n2", "web"))


def test_a_pool_that_is_there_already_is_only_waited_for() -> None:
    spec = PoolSpec(name="batch", size=2)
    assert [each.step for each in recipes.create("prod", pool(), spec, there=pool(name="batch")).steps] == [
        "pool_nodes_ready"
    ]


def test_bounds_that_would_end_nodes_are_refused() -> None:
    with pytest.raises(GuardError):
        recipes.autoscale("prod", pool(), Autoscaling(on=True, min=0, max=3))
    assert recipes.autoscale("prod", pool(), Autoscaling(on=False, min=1, max=9)).empty


def test_masters_come_to_an_odd_number() -> None:
    with pytest.raises(GuardError):
        recipes.add_masters("prod", ["m1", "m2", "m3"], ["m4"])
    plan = recipes.add_masters("prod", ["m1"], ["m2", "m3", "m1"])
    assert ([host.name for host in plan.hosts], plan.wants.masters, plan.present) == (["m2", "m3"], 3, ("m1",))


@pytest.mark.parametrize(
    ("told", "node", "same"),
    [
        ("aws:///eu-1a/i-1", "aws:///eu-1a/i-1", True),
        ("/ins-1", "qcloud:///100003/ins-1", True),
        ("/ins-1", "qcloud:///100003/ins-11", False),
        (".i-x", "cn-hangzhou.i-x", True),
        (".i-x", "alicloud://cn-hangzhou.i-x", True),
        (".i-x", "cn-hangzhou.i-xy", False),
        (".i-x", "cn-hangzhou.other-i-x", False),
        ("azure:///Subscriptions/S", "azure:///subscriptions/s", True),
    ],
)
def test_a_machine_is_its_node_by_the_provider_id(told: str, node: str, same: bool) -> None:  # noqa: FBT001 - a fact
    machine = Instance(id="x", provider_id=told, node="n1", state="running")
    assert machine.is_node("n1", node) is same


def test_a_machine_without_a_provider_id_is_its_node_by_name() -> None:
    assert Instance(id="x", node="n1", state="running").is_node("n1", "any://thing")


def test_an_unfinished_run_on_pools_is_only_gone_on_with() -> None:
    plan = recipes.grow("prod", pool(target=3), 5)
    assert plan.next_moves("R") == "scaler runs resume R"
