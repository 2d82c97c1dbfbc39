from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.errors import GuardError, InputError
from scaler.model.machine_pools import MachinePool
from scaler.model.state import ClusterState
from scaler.plan import standby
from scaler.plan.standby import Candidate, leave, pick
from tests.unit.examples import M1, cluster, host, settings

if TYPE_CHECKING:
    from scaler.model.inventory import Cluster, Host

RACKS = ("a", "b", "c", None)


def placed(number: int, rack: str | None = None, pool: str | None = None) -> Host:
    return host(f"n{number}", 30 + number).model_copy(update={"failure_domain": rack, "pool": pool})


def names(picked: standby.Picked) -> list[str]:
    return [each.name for each in picked.hosts]


def of(workers: list[Host], **groups: Any) -> Cluster:
    return cluster(settings=settings(**groups.pop("settings", {})), masters=(M1,), workers=tuple(workers), **groups)


def state(*nodes: tuple[str, bool, bool, int]) -> ClusterState:
    def made(name: str, ready: bool, open_: bool, day: int) -> dict[str, Any]:  # noqa: FBT001
        return {
            "metadata": {"name": name, "creationTimestamp": f"2026-03-{day:02}T00:00:00Z"},
            "spec": {"unschedulable": not open_},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
        }

    return ClusterState.model_validate({"server_version": "1.20.2", "nodes": [made(*node) for node in nodes]})


@pytest.mark.parametrize(("wanted", "size"), [("10", 10), ("+3", 7), ("-2", 2), ("0", 0), ("-4", 0)])
def test_a_size_is_absolute_more_or_fewer(wanted: str, size: int) -> None:
    assert standby.size_of(wanted, 4, None) == size


@pytest.mark.parametrize("wanted", ["", "ten", "++3", "+-3", "1.5", "-5", "٣", "9999999"])
def test_what_is_no_size_is_refused_with_its_option(wanted: str) -> None:
    with pytest.raises(InputError, match="--workers"):
        standby.size_of(wanted, 4, None)
    with pytest.raises(InputError, match="--to"):
        standby.size_of(wanted, 4, "web")


@pytest.mark.parametrize(
    ("size", "before", "told"), [(10, 4, "max 9"), (1, 4, "min 2"), (12, 11, "max 9"), (0, 1, "min 2")]
)
def test_a_bound_is_named(size: int, before: int, told: str) -> None:
    with pytest.raises(GuardError, match=told):
        standby.may_have({"web": MachinePool(min=2, max=9)}, "web", size, before)


@pytest.mark.parametrize(("size", "before"), [(9, 4), (2, 4), (10, 12), (1, 0)])
def test_a_pool_may_have_what_is_within_its_bounds_or_nearer_to_them(size: int, before: int) -> None:
    standby.may_have({"web": MachinePool(min=2, max=9)}, "web", size, before)


def test_failure_domains_are_filled_up_evenly_and_names_decide_the_rest() -> None:
    waiting = [Candidate(placed(n, rack)) for n, rack in ((10, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c"))]
    assert names(pick(waiting, [placed(20, "a")], {}, 4)) == ["n3", "n5", "n2", "n4"]


def test_of_one_domain_the_one_with_the_fewest_doubts_comes_and_an_unfit_one_never() -> None:
    waiting = [Candidate(placed(1), doubts=1), Candidate(placed(2), unfit="swap is on"), Candidate(placed(3))]
    picked = pick(waiting, [], {}, 3)
    assert names(picked) == ["n3", "n1"]
    assert picked.passed_over == {"n2": "swap is on"}


def test_what_an_earlier_run_has_begun_is_finished_first() -> None:
    waiting = [Candidate(placed(1, "b")), Candidate(placed(2, "a"), begun=True)]
    assert names(pick(waiting, [placed(20, "a")], {}, 1)) == ["n2"]


def test_a_pool_gets_no_more_than_its_max_also_where_all_workers_are_meant() -> None:
    waiting = [Candidate(placed(n, pool="web")) for n in (1, 2)] + [Candidate(placed(3))]
    picked = pick(waiting, [placed(20, pool="web")], {"web": MachinePool(max=2)}, 3)
    assert names(picked) == ["n1", "n3"]
    assert picked.passed_over == {"n2": "pool web has max 2"}


def test_who_is_not_ready_leaves_first_then_who_is_closed_then_the_newest() -> None:
    workers = [placed(n) for n in (1, 2, 3, 4)]
    told = state(("n1", True, True, 9), ("n2", True, False, 1), ("n3", False, True, 2), ("n4", True, True, 8))
    assert names(leave(of(workers), told, {}, None, 4)) == ["n3", "n2", "n1", "n4"]


def test_of_those_that_are_well_the_fullest_domain_gives_first() -> None:
    workers = [placed(1, "a"), placed(2, "a"), placed(3, "b")]
    told = state(("n1", True, True, 1), ("n2", True, True, 2), ("n3", True, True, 9))
    assert names(leave(of(workers), told, {}, None, 2)) == ["n2", "n3"]


def test_a_pool_keeps_its_min_and_a_load_balancer_its_place() -> None:
    workers = [placed(1, pool="web"), placed(2, pool="web"), placed(3)]
    known = of(workers, loadbalancers=(workers[2],), settings={"pools": {"web": {"min": 1}}})
    told = state(("n1", True, True, 1), ("n2", True, True, 2), ("n3", True, True, 3))
    left = leave(known, told, known.settings.pools, None, 3)
    assert names(left) == ["n2"]
    assert left.passed_over == {"n3": "it has another duty in the inventory too", "n1": "pool web has min 1"}


def test_a_worker_without_a_node_is_in_no_size() -> None:
    known = of([placed(1), placed(2)])
    assert standby.present(known, state(("n2", True, True, 1)), None) == (placed(2),)


hosts = st.lists(st.tuples(st.sampled_from(RACKS), st.booleans(), st.integers(0, 2)), min_size=0, max_size=9)


@given(hosts, st.lists(st.sampled_from(RACKS), max_size=6), st.integers(0, 9), st.randoms())
def test_a_pick_is_as_many_as_can_be_never_unfit_spread_and_the_same_in_any_order(
    waiting: list[tuple[str | None, bool, int]], there: list[str | None], count: int, random: Any
) -> None:
    candidates = [
        Candidate(placed(n, rack), "broken" if unfit else "", doubts)
        for n, (rack, unfit, doubts) in enumerate(waiting, 1)
    ]
    workers = [placed(100 + n, rack) for n, rack in enumerate(there)]
    picked = pick(candidates, workers, {}, count)
    fit = [each.host for each in candidates if not each.unfit]
    assert len(picked.hosts) == min(count, len(fit))
    assert {*names(picked)} <= {each.name for each in fit}
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert pick(shuffled, workers, {}, count) == picked
    # No other fit host would have made it more even: whoever was left is in a domain that is at least as full.
    domains = Counter(each.failure_domain for each in (*workers, *picked.hosts))
    for host_ in picked.hosts:
        others = [each for each in fit if each not in picked.hosts]
        assert all(domains[other.failure_domain] >= domains[host_.failure_domain] - 1 for other in others)


@given(st.lists(st.tuples(st.sampled_from(RACKS), st.booleans(), st.booleans()), max_size=8), st.integers(0, 8))
def test_nobody_who_is_well_leaves_while_somebody_stays_who_is_not(
    there: list[tuple[str | None, bool, bool]], count: int
) -> None:
    workers = [placed(n, rack) for n, (rack, _, _) in enumerate(there, 1)]
    told = state(*((f"n{n}", ready, open_, n) for n, (_, ready, open_) in enumerate(there, 1)))
    left = leave(of(workers), told, {}, None, count).hosts
    assert len(left) == min(count, len(workers))
    well = {f"n{n}": (ready, open_) for n, (_, ready, open_) in enumerate(there, 1)}
    stay = [well[each.name] for each in workers if each not in left]
    assert not left or not stay or max(well[each.name] for each in left) <= min(stay)
