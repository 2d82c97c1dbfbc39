"""What a rollback of a size asks for, where some of the machines arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import AmbiguousError, CloudError, ConflictError
from scaler.model.pools import Instance, Operation, Pool, Progress
from scaler.plan.recipes import pools as recipes
from scaler.steps.pool_sized import STEP
from tests.fakes.clock import FakeClock
from tests.fakes.cloud import world

if TYPE_CHECKING:
    from scaler.plan.pool_plan import PoolPlan
    from scaler.steps.clouds import CloudWorld

ZONES = ("a", "b", "c")


class FakeCloud:
    """A pool of which only some machines arrived, in the zones of ``arrived``."""

    def __init__(self, target: int, arrived: str, *, per_zone: bool) -> None:
        self.asked: list[int] = []
        self._arrived = arrived
        self.web = Pool(
            id="web",
            name="web",
            target=target,
            actual=len(arrived),
            state="ready",
            zones=ZONES,
            per_zone=per_zone,
            label="pool",
            value="web",
        )

    def pool(self, pool_id: str) -> Pool:
        assert pool_id == self.web.id
        return self.web

    def instances(self, pool: Pool) -> list[Instance]:
        del pool
        there = [Instance(id=f"i-{at}", state="running", zone=zone) for at, zone in enumerate(self._arrived)]
        return [*there, Instance(id="i-broken", state="failed", zone="a")]

    def set_size(self, pool: Pool, size: int) -> Operation:
        self.asked.append(size)
        self.web = pool.model_copy(update={"target": size})
        return Operation(change="set-size", pool=pool.id, target=size, started=FakeClock().now())

    def poll(self, operation: Operation) -> Progress:
        assert operation.target == self.asked[-1]
        return Progress(state="done")


def world_of(cloud: FakeCloud, plan: PoolPlan) -> CloudWorld:
    return world(cloud, plan)


def grown(cloud: FakeCloud, before: int, size: int) -> PoolPlan:
    return recipes.grow("prod", cloud.web.model_copy(update={"target": before}), size, rollback=True)


def taken_back(cloud: FakeCloud, before: int) -> list[int]:
    """Let the run that asked for the pool's size, in place of ``before``, be taken back; return what was asked for."""
    plan = grown(cloud, before, cloud.web.target)
    STEP.undo(world_of(cloud, plan), plan.hosts[0])
    return cloud.asked


@pytest.mark.parametrize(
    ("arrived", "per_zone", "asked"),
    [
        ("aaabbcc", False, [7]),
        ("aaabbcc", True, [9]),
        ("aabbcc", True, [6]),
        ("abc", True, [3]),
        # One of those that were there has died meanwhile.
        ("ab", True, [3]),
    ],
)
def test_what_arrived_stays_and_no_more_comes(arrived: str, asked: list[int], *, per_zone: bool) -> None:
    assert taken_back(FakeCloud(12, arrived, per_zone=per_zone), before=3) == asked


def test_a_size_that_can_only_be_lowered_by_ending_machines_stays_and_that_is_told() -> None:
    cloud = FakeCloud(9, "aaabbbc", per_zone=True)
    with pytest.raises(CloudError, match="7 arrived, and fewer than 9 in 3 zones"):
        taken_back(cloud, before=3)
    assert cloud.asked == []


def test_what_arrived_whole_needs_nothing() -> None:
    assert taken_back(FakeCloud(6, "aabbcc", per_zone=True), before=3) == []


def test_a_size_that_somebody_else_asked_for_since_is_not_taken_back() -> None:
    cloud = FakeCloud(20, "aabbcc", per_zone=False)
    plan = grown(cloud, 3, 12)
    STEP.undo(world_of(cloud, plan), plan.hosts[0])
    assert cloud.asked == []


def test_a_run_that_goes_on_with_another_goes_back_to_what_was_before_both() -> None:
    cloud = FakeCloud(12, "aaaaa", per_zone=False)
    plan = grown(cloud, 12, 12)
    first = plan.model_copy(update={"wants": plan.wants.model_copy(update={"had": 3})})
    STEP.undo(world_of(cloud, first), first.hosts[0])
    assert cloud.asked == [5]


def test_a_request_that_was_lost_is_not_sent_again_where_somebody_was_faster() -> None:
    cloud = FakeCloud(3, "aaa", per_zone=False)

    def lost(pool: Pool, size: int) -> Operation:
        cloud.asked.append(size)
        cloud.web = pool.model_copy(update={"target": 20})
        raise AmbiguousError("the connection broke")

    cloud.set_size = lost  # type: ignore[method-assign]
    plan = grown(cloud, 3, 5)
    with pytest.raises(ConflictError, match="had 3 nodes when 5 were asked for, and 20 now"):
        STEP.apply(world_of(cloud, plan), plan.hosts)
    assert cloud.asked == [5]
