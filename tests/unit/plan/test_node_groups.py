from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scaler.model.node_groups import Ended, Ledger, Named
from scaler.plan import node_groups
from scaler.plan.node_groups import INTERRUPTED, RefusedError
from tests.fakes.fleet import NOW, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.model.node_groups import Verb


def increased(fleet: Fleet, group: str, delta: int, ledger: Ledger | None = None) -> Ledger:
    return node_groups.increase(fleet.look(), ledger or Ledger(), group, delta, fleet.now)


def begun(fleet: Fleet, ledger: Ledger) -> Ledger:
    return node_groups.next_batch(fleet.look(), ledger, fleet.now)


def over(fleet: Fleet, ledger: Ledger, **told: Any) -> Ledger:
    return node_groups.ended(fleet.look(), ledger, Ended(**{"exit_code": 0, **told}), fleet.now)


def carried_out(fleet: Fleet, ledger: Ledger) -> Ledger:
    ledger = begun(fleet, ledger)
    assert ledger.batch is not None
    code, envelope = fleet.run(ledger.batch.verb, ledger.batch.hosts)
    error = envelope.get("error", {})
    return over(fleet, ledger, exit_code=code, failed=envelope["data"]["failed"], message=error.get("message", ""))


def hosts(ledger: Ledger) -> list[str]:
    return sorted(wish.host for wish in ledger.wishes)


def states(fleet: Fleet, ledger: Ledger, group: str = "web") -> dict[str, str]:
    return {each.host: each.state for each in node_groups.instances(fleet.look(), ledger, group)}


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as e:
        act()
    return e.value.status


def named(name: str) -> Named:
    return Named(id=f"scaler://prod/{name}", name=name)


def test_an_increase_takes_hosts_at_once_and_counts_them() -> None:
    fleet = Fleet()
    ledger = increased(fleet, "web", 2)
    assert hosts(ledger) == ["web-2", "web-3"]
    assert node_groups.target(fleet.look(), ledger, "web") == 3
    assert states(fleet, ledger) == {"web-1": "running", "web-2": "creating", "web-3": "creating"}


def test_two_increases_never_take_the_same_host() -> None:
    fleet = Fleet()
    ledger = increased(fleet, "web", 1, increased(fleet, "web", 2))
    assert hosts(ledger) == ["web-2", "web-3", "web-4"]


def test_an_increase_comes_true_when_the_inventory_has_the_host() -> None:
    fleet = Fleet()
    ledger = carried_out(fleet, increased(fleet, "web", 2))
    assert ledger.wishes == ()
    assert states(fleet, ledger) == {"web-1": "running", "web-2": "running", "web-3": "running"}


def test_an_increase_beyond_max_is_refused() -> None:
    fleet = Fleet(web=6)
    assert refusal(lambda: increased(fleet, "web", 4)) == "OUT_OF_RANGE"
    assert refusal(lambda: increased(fleet, "web", 0)) == "INVALID_ARGUMENT"
    assert refusal(lambda: increased(fleet, "nobody", 1)) == "NOT_FOUND"


def test_without_a_max_it_is_all_machines_of_the_pool() -> None:
    assert node_groups.bounds(Fleet(batch=3).look(), "batch") == (0, 3)


def test_an_empty_standby_is_out_of_resources() -> None:
    fleet = Fleet(web=1)
    assert refusal(lambda: increased(fleet, "web", 1)) == "RESOURCE_EXHAUSTED"


def test_where_some_are_on_standby_those_come_and_the_rest_is_told_as_missing() -> None:
    fleet = Fleet(web=2)
    ledger = increased(fleet, "web", 3)
    found = node_groups.instances(fleet.look(), ledger, "web")
    assert [(each.host, each.short, each.code) for each in found if each.state == "creating"] == [
        ("web-2", False, ""),
        ("missing:web:1", True, "out-of-standby"),
        ("missing:web:2", True, "out-of-standby"),
    ]
    gone = node_groups.delete(
        fleet.look(), ledger, "web", [Named(id=each.id, name=each.id) for each in found if each.short], NOW
    )
    assert hosts(gone) == ["web-2"]
    assert hosts(increased(Fleet(web=3), "web", 2, gone)) == ["missing:web:3", "web-2", "web-3"]


def test_what_waits_goes_in_one_run_and_what_comes_later_in_the_next() -> None:
    fleet = Fleet()
    ledger = begun(fleet, increased(fleet, "batch", 1, increased(fleet, "web", 1)))
    assert ledger.batch is not None
    assert sorted(ledger.batch.hosts) == ["batch-1", "web-2"]
    later = increased(fleet, "web", 1, ledger)
    assert begun(fleet, later) == later


def test_a_host_that_fails_is_told_with_its_reason_until_it_is_taken_back() -> None:
    fleet = Fleet()
    fleet.broken["web-2"] = "its disk is full"
    ledger = carried_out(fleet, increased(fleet, "web", 2))
    found = {each.host: each for each in node_groups.instances(fleet.look(), ledger, "web")}
    assert (found["web-2"].state, found["web-2"].code, found["web-2"].error) == (
        "creating",
        "host-failed",
        "its disk is full",
    )
    assert found["web-3"].state == "running"
    assert node_groups.target(fleet.look(), ledger, "web") == 3
    ledger = node_groups.delete(fleet.look(), ledger, "web", [Named(id=found["web-2"].id, name=found["web-2"].id)], NOW)
    assert (ledger.wishes, node_groups.target(fleet.look(), ledger, "web")) == ((), 2)


def test_a_host_that_failed_lately_is_the_last_to_be_taken() -> None:
    fleet = Fleet()
    fleet.broken["web-2"] = "its disk is full"
    ledger = node_groups.decrease(fleet.look(), carried_out(fleet, increased(fleet, "web", 1)), "web", -1)
    assert hosts(increased(fleet, "web", 2, ledger)) == ["web-3", "web-4"]
    assert hosts(increased(fleet, "web", 3, ledger)) == ["web-2", "web-3", "web-4"]


def test_a_host_on_standby_with_a_node_is_taken_after_the_others() -> None:
    fleet = Fleet()
    fleet.nodes["web-2"] = {}
    assert hosts(increased(fleet, "web", 2)) == ["web-3", "web-4"]


@pytest.mark.parametrize("code", [0, 6, 7, 10, INTERRUPTED])
def test_a_run_that_did_not_end_for_its_hosts_sake_is_tried_again_for_the_same_ones(code: int) -> None:
    fleet = Fleet()
    ledger = over(fleet, begun(fleet, increased(fleet, "web", 2)), exit_code=code, message="locked")
    assert (hosts(ledger), [wish.error for wish in ledger.wishes]) == (["web-2", "web-3"], ["", ""])
    assert begun(fleet, ledger).batch is None
    fleet.pass_time(6)
    again = begun(fleet, ledger).batch
    assert again is not None
    assert again.hosts == ("web-2", "web-3")


def test_an_api_that_stays_away_is_told_in_the_end() -> None:
    fleet = Fleet()
    ledger = increased(fleet, "web", 1)
    for _ in range(20):
        fleet.pass_time(60)
        ledger = over(fleet, begun(fleet, ledger), exit_code=7, kind="unreachable", message="the API does not answer")
    assert [(wish.code, wish.error) for wish in ledger.wishes] == [("unreachable", "the API does not answer")]


def test_hosts_that_were_refused_together_are_tried_each_by_itself() -> None:
    fleet = Fleet(working=("web-1", "web-2", "web-3"))
    fleet.unreachable.add("web-3")
    ledger = node_groups.delete(fleet.look(), Ledger(), "web", [named("web-2"), named("web-3")], NOW)
    ledger = carried_out(fleet, carried_out(fleet, carried_out(fleet, ledger)))
    assert fleet.working == {"web-1", "web-3"}
    assert (ledger.wishes, states(fleet, ledger)["web-3"]) == ((), "running")


def test_a_machine_that_could_not_leave_is_left_alone_for_a_while_and_longer_each_time() -> None:
    fleet = Fleet(working=("web-1", "web-2"))
    fleet.broken["web-2"] = "a pod does not end"
    ledger, rests = Ledger(), []
    for _ in range(3):
        ledger = carried_out(fleet, node_groups.delete(fleet.look(), ledger, "web", [named("web-2")], fleet.now))
        assert states(fleet, ledger)["web-2"] == "running"
        before = ledger
        assert (
            refusal(lambda: node_groups.delete(fleet.look(), before, "web", [named("web-2")], fleet.now))  # noqa: B023
            == "FAILED_PRECONDITION"
        )
        rests.append((ledger.troubles["web-2"].until - fleet.now).total_seconds())
        fleet.now = ledger.troubles["web-2"].until + timedelta(seconds=1)
    assert rests == [30, 60, 120]


def test_a_delete_drains_one_that_works_and_forgets_one_that_has_not_begun() -> None:
    fleet = Fleet(working=("web-1", "web-2"))
    ledger = increased(fleet, "web", 1)
    ledger = node_groups.delete(fleet.look(), ledger, "web", [named("web-2"), named("web-3")], NOW)
    assert states(fleet, ledger) == {"web-1": "running", "web-2": "deleting"}
    assert states(fleet, carried_out(fleet, ledger)) == {"web-1": "running"}
    assert fleet.working == {"web-1"}


def test_a_delete_below_min_is_refused_as_a_whole() -> None:
    fleet = Fleet(working=("web-1", "web-2"))
    both = [named("web-1"), named("web-2")]
    assert refusal(lambda: node_groups.delete(fleet.look(), Ledger(), "web", both, NOW)) == "FAILED_PRECONDITION"


def test_what_only_comes_is_nothing_that_one_that_works_may_leave_for() -> None:
    fleet = Fleet()
    ledger = increased(fleet, "web", 3)
    assert (
        refusal(lambda: node_groups.delete(fleet.look(), ledger, "web", [named("web-1")], NOW)) == "FAILED_PRECONDITION"
    )


def test_one_that_is_ready_does_not_leave_while_those_that_stay_are_not() -> None:
    fleet = Fleet(working=("web-1", "web-2"))
    fleet.silent.add("web-2")
    with pytest.raises(RefusedError, match="has 1 Ready machines and min 1: 1 fewer Ready ones are too many") as e:
        node_groups.delete(fleet.look(), Ledger(), "web", [named("web-1")], NOW)
    assert e.value.status == "FAILED_PRECONDITION"
    ledger = node_groups.delete(fleet.look(), Ledger(), "web", [named("web-2")], NOW)
    assert states(fleet, ledger) == {"web-1": "running", "web-2": "deleting"}
    # What leaves already is not counted a second time.
    assert refusal(lambda: node_groups.delete(fleet.look(), ledger, "web", [named("web-1")], NOW)) == (
        "FAILED_PRECONDITION"
    )


def test_a_worker_without_a_node_is_nothing_that_one_that_is_ready_may_leave_for() -> None:
    fleet = Fleet(working=("web-1", "web-2", "web-3"))
    fleet.nodes.pop("web-3")
    both = [named("web-1"), named("web-2")]
    assert refusal(lambda: node_groups.delete(fleet.look(), Ledger(), "web", both, NOW)) == "FAILED_PRECONDITION"
    assert states(fleet, node_groups.delete(fleet.look(), Ledger(), "web", both[:1], NOW))["web-1"] == "deleting"


def test_one_that_is_not_ready_may_leave_for_one_that_comes_and_never_below_min() -> None:
    fleet = Fleet()
    fleet.silent.add("web-1")
    before = Ledger()
    assert refusal(lambda: node_groups.delete(fleet.look(), before, "web", [named("web-1")], NOW)) == (
        "FAILED_PRECONDITION"
    )
    ledger = node_groups.delete(fleet.look(), increased(fleet, "web", 1), "web", [named("web-1")], NOW)
    assert states(fleet, ledger) == {"web-1": "deleting", "web-2": "creating"}


def test_a_delete_names_machines_of_this_group_only() -> None:
    fleet = Fleet(working=("web-1", "web-2", "batch-1"))
    for name in ("batch-1", "web-4", "m1"):
        assert (
            refusal(lambda: node_groups.delete(fleet.look(), Ledger(), "web", [named("web-2"), named(name)], NOW))  # noqa: B023
            == "INVALID_ARGUMENT"
        )


def test_a_delete_twice_is_one() -> None:
    fleet = Fleet(working=("web-1", "web-2"))
    once = node_groups.delete(fleet.look(), Ledger(), "web", [named("web-2"), named("web-2")], NOW)
    assert node_groups.delete(fleet.look(), once, "web", [named("web-2")], NOW) == once


def test_one_that_is_deleted_while_it_comes_leaves_when_it_has_come() -> None:
    fleet = Fleet()
    ledger = begun(fleet, increased(fleet, "web", 1))
    ledger = node_groups.delete(fleet.look(), ledger, "web", [named("web-2")], NOW)
    assert states(fleet, ledger)["web-2"] == "deleting"
    fleet.run("add-node", ["web-2"])
    ledger = over(fleet, ledger)
    assert states(fleet, ledger)["web-2"] == "deleting"
    assert states(fleet, carried_out(fleet, ledger)) == {"web-1": "running"}


def test_one_that_is_deleted_while_it_comes_and_then_does_not_come_is_forgotten() -> None:
    fleet = Fleet()
    ledger = begun(fleet, increased(fleet, "web", 1))
    ledger = node_groups.delete(fleet.look(), ledger, "web", [named("web-2")], NOW)
    assert over(fleet, ledger, exit_code=9, failed={"web-2": "broken"}).wishes == ()


def test_a_decrease_takes_back_what_has_not_begun_and_nothing_else() -> None:
    fleet = Fleet(working=("web-1", "web-2"))
    ledger = increased(fleet, "web", 1, begun(fleet, increased(fleet, "web", 1)))
    assert refusal(lambda: node_groups.decrease(fleet.look(), ledger, "web", -2)) == "FAILED_PRECONDITION"
    assert refusal(lambda: node_groups.decrease(fleet.look(), ledger, "web", 1)) == "INVALID_ARGUMENT"
    assert hosts(node_groups.decrease(fleet.look(), ledger, "web", -1)) == ["web-3"]
    assert refusal(lambda: node_groups.decrease(fleet.look(), Ledger(), "web", -1)) == "FAILED_PRECONDITION"


def test_a_decrease_takes_back_what_failed_first_and_never_goes_below_min() -> None:
    fleet = Fleet(working=(), web=3, batch=0)
    fleet.pools = {"web": {"min": 1}, "batch": {}}
    fleet.broken["web-1"] = "broken"
    ledger = increased(fleet, "web", 1, carried_out(fleet, increased(fleet, "web", 1)))
    assert hosts(node_groups.decrease(fleet.look(), ledger, "web", -1)) == ["web-2"]
    assert refusal(lambda: node_groups.decrease(fleet.look(), ledger, "web", -2)) == "FAILED_PRECONDITION"


def test_a_host_that_somebody_took_away_is_told() -> None:
    fleet = Fleet()
    ledger = increased(fleet, "web", 1)
    fleet.names.remove("web-2")
    ledger = node_groups.settled(fleet.look(), ledger)
    assert [wish.code for wish in ledger.wishes] == ["host-gone"]


def test_a_host_that_an_operator_added_meanwhile_has_come() -> None:
    fleet = Fleet()
    ledger = increased(fleet, "web", 1)
    fleet.run("add-node", ["web-2"])
    assert node_groups.settled(fleet.look(), ledger).wishes == ()


def test_a_node_is_known_by_its_id_and_by_its_name_only_without_one() -> None:
    fleet = Fleet()
    world = fleet.look()
    assert node_groups.group_of(world, Ledger(), named("web-1")) == "web"
    assert node_groups.group_of(world, Ledger(), Named(name="web-1")) == "web"
    assert node_groups.group_of(world, Ledger(), Named(id="aws:///web-1", name="web-1")) == ""
    assert node_groups.group_of(world, Ledger(), Named(name="web-2")) == ""
    assert node_groups.group_of(world, Ledger(), Named(name="m1")) == ""


def test_nodes_without_an_id_are_to_get_one() -> None:
    fleet = Fleet(working=("web-1", "batch-1"))
    fleet.nodes["web-1"] = {"providerID": ""}
    fleet.nodes["batch-1"] = {"providerID": "somebody://else"}
    world = fleet.look()
    assert node_groups.missing_ids(world) == {"web-1": "scaler://prod/web-1"}
    assert [each.id for each in node_groups.instances(world, Ledger(), "batch")] == ["somebody://else"]


class Story(RuleBasedStateMachine):
    """Calls, runs and kills in any order: what holds always, and what comes of it in the end.

    A run that goes on in the fleet may be at any point when the server is killed; all that the server has then is what
    it wrote, as JSON.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(web=5, batch=3)
        self.fleet.pools = {"web": {"min": 1, "max": 4}, "batch": {}}
        self.ledger = Ledger()
        self.asked = {"web": 0, "batch": 0}
        self.added: list[str] = []
        self.broken_ever: set[str] = set()

    def try_(self, act: Callable[[], Ledger]) -> bool:
        try:
            self.ledger = Ledger.model_validate_json(act().model_dump_json())
        except RefusedError:
            return False
        return True

    @rule(group=st.sampled_from(["web", "batch"]), delta=st.integers(0, 4))
    def increase(self, group: str, delta: int) -> None:
        before = node_groups.target(self.fleet.look(), self.ledger, group)
        if self.try_(lambda: increased(self.fleet, group, delta, self.ledger)):
            assert node_groups.target(self.fleet.look(), self.ledger, group) == before + delta

    @rule(group=st.sampled_from(["web", "batch"]), delta=st.integers(-3, 0))
    def decrease(self, group: str, delta: int) -> None:
        working = set(self.fleet.working)
        if self.try_(lambda: node_groups.decrease(self.fleet.look(), self.ledger, group, delta)):
            assert not any(
                wish.out for wish in self.ledger.wishes if wish.host in working and not self.was_out(wish.host)
            )

    def was_out(self, host: str) -> bool:
        wish = self.ledger.wish(host)
        return bool(wish and wish.out)

    @rule(group=st.sampled_from(["web", "batch"]), at=st.integers(0, 4))
    def delete(self, group: str, at: int) -> None:
        found = node_groups.instances(self.fleet.look(), self.ledger, group)
        if at < len(found):
            name = Named(id=found[at].id, name=found[at].id)
            least = node_groups.bounds(self.fleet.look(), group).least
            before = node_groups.target(self.fleet.look(), self.ledger, group)
            if self.try_(lambda: node_groups.delete(self.fleet.look(), self.ledger, group, [name], self.fleet.now)):
                after = node_groups.target(self.fleet.look(), self.ledger, group)
                assert after == before or after >= least or found[at].error

    @rule(host=st.sampled_from([f"web-{n}" for n in range(1, 6)]))
    def break_(self, host: str) -> None:
        self.fleet.broken[host] = "broken"

    @rule()
    def repair(self) -> None:
        self.fleet.broken.clear()

    @rule()
    def begin(self) -> None:
        self.fleet.pass_time(10)
        self.ledger = begun(self.fleet, self.ledger)

    @rule(part=st.integers(0, 4))
    def progress(self, part: int) -> None:
        """Let the run have come so far, as it is when the server is killed or not."""
        batch = self.ledger.batch
        if batch:
            for host in batch.hosts[:part]:
                self.moves(batch.verb, host)

    @rule()
    def finish(self) -> None:
        batch = self.ledger.batch
        if batch:
            for host in batch.hosts:
                self.moves(batch.verb, host)
            failed = {host: "broken" for host in batch.hosts if host in self.fleet.broken}
            self.ledger = over(self.fleet, self.ledger, exit_code=2 if failed else 0, failed=failed)

    @rule()
    def killed_and_started_again(self) -> None:
        self.ledger = Ledger.model_validate_json(self.ledger.model_dump_json())
        if self.ledger.batch:
            self.ledger = over(self.fleet, self.ledger, exit_code=INTERRUPTED)

    def moves(self, verb: Verb, host: str) -> None:
        if host not in self.fleet.broken:
            self.fleet.moved(verb, host)

    @invariant()
    def each_host_has_one_wish_and_is_in_its_own_group(self) -> None:
        names = [wish.host for wish in self.ledger.wishes]
        assert len(names) == len(set(names))
        assert all(wish.short or wish.host.split("-")[0] == wish.group for wish in self.ledger.wishes)

    @invariant()
    def a_group_is_never_beyond_its_max(self) -> None:
        world = self.fleet.look()
        for group in ("web", "batch"):
            bounds = node_groups.bounds(world, group)
            assert node_groups.target(world, self.ledger, group) <= bounds.most
            assert sum(host.name.startswith(group) for host in world.cluster.workers) <= bounds.most

    @invariant()
    def what_works_is_never_below_min(self) -> None:
        assert sum(name.startswith("web") for name in self.fleet.working) >= 1

    @invariant()
    def what_works_was_asked_for(self) -> None:
        """Every worker is a running machine, or one that leaves, and in no group twice."""
        world = self.fleet.look()
        told = [each for group in ("web", "batch") for each in node_groups.instances(world, self.ledger, group)]
        assert len({each.id for each in told}) == len(told)
        assert {each.host for each in told if each.state == "running"} <= self.fleet.working

    def teardown(self) -> None:
        """In the end all comes true: with whole hosts nothing is left to do, and the sizes are those promised."""
        self.fleet.broken.clear()
        promised = {g: node_groups.target(self.fleet.look(), self.ledger, g) for g in ("web", "batch")}
        failed = {g: sum(bool(w.error) for w in self.ledger.wishes if w.group == g) for g in promised}
        self.killed_and_started_again()
        for _ in range(30):
            self.begin()
            self.finish()
        assert [wish for wish in self.ledger.wishes if not wish.error] == []
        there = {g: sum(name.startswith(g) for name in self.fleet.working) for g in promised}
        assert there == {g: promised[g] - failed[g] for g in promised}


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
