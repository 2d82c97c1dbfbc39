"""Which nodes a change of a pool tells that came and went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.engine.run import Engine
from scaler.gateways import kube
from scaler.model.pools import PoolSpec
from scaler.plan.plan import StepSpec
from scaler.plan.pool_plan import PoolPlan, Unit, Wants
from scaler.plan.recipes import pools as recipes
from scaler.steps import pool_counted
from scaler.ui import pool_outcome
from tests.fakes.clock import FakeClock
from tests.fakes.cloud import WEB, FakeCloud, world
from tests.fakes.kube import FakeKube

if TYPE_CHECKING:
    from scaler.engine.events import Event
    from scaler.model.pools import Operation, Pool
    from scaler.steps.clouds import CloudWorld


class Rig:
    """A pool of two that is asked for more or fewer."""

    def __init__(self, cloud: type[FakeCloud] = FakeCloud) -> None:
        self.kube = FakeKube(FakeClock())
        self.cloud = cloud(self.kube, 2)
        self.noted: list[dict[str, Any]] = []

    def hear(self, event: Event) -> None:
        if "there" in event.data:
            self.noted.append(event.data["there"])

    def uids(self) -> dict[str, str]:
        return {name: node["metadata"]["uid"] for name, node in self.kube.of("Node").items()}

    def plan(self, size: int, there: dict[str, str] | None) -> PoolPlan:
        return recipes.grow("prod", self.cloud.web, size).since(there)

    def told(self, plan: PoolPlan) -> dict[str, Any]:
        return pool_outcome.data(plan, Engine(self.world(plan), [self]).run())

    def world(self, plan: PoolPlan) -> CloudWorld:
        return world(self.cloud, plan, self.kube)


class Slow(FakeCloud):
    """One of those that are asked for does not get Ready."""

    def set_size(self, pool: Pool, size: int) -> Operation:
        operation = super().set_size(pool, size)
        self._kube.add_node(self.machines[-1], ready=False, labels={WEB.label: WEB.value})
        return operation


class Smaller(FakeCloud):
    """Ends the first machine, by its own choice."""

    def set_size(self, pool: Pool, size: int) -> Operation:
        self._kube.delete("nodes", [self.machines.pop(0)])
        return super().set_size(pool, size)


def test_the_nodes_that_came_are_told_by_their_names() -> None:
    rig = Rig()
    told = rig.told(rig.plan(4, rig.uids()))
    assert (told["added"], told["removed"], told["changed"]) == (["web-3", "web-4"], [], True)
    assert rig.noted == [rig.uids()]


def test_where_some_do_not_come_those_that_did_are_told() -> None:
    rig = Rig(Slow)
    there = rig.uids()
    told = rig.told(rig.plan(4, there))
    assert (told["added"], told["changed"]) == (["web-3"], True)
    assert "web" in told["failed"]
    assert rig.noted[-1] == {name: uid for name, uid in rig.uids().items() if name != "web-4"}


def test_a_node_that_the_cloud_ended_is_told_too() -> None:
    rig = Rig(Smaller)
    told = rig.told(rig.plan(1, rig.uids()))
    assert (told["added"], told["removed"]) == ([], ["web-1"])


def test_a_node_that_came_under_an_old_name_came_and_went() -> None:
    rig = Rig()
    told = rig.told(rig.plan(3, {**rig.uids(), "web-1": "another"}))
    assert (sorted(told["added"]), told["removed"]) == (["web-1", "web-3"], ["web-1"])


def test_where_nobody_looked_before_nothing_is_told() -> None:
    rig = Rig()
    told = rig.told(rig.plan(3, None))
    assert (told["added"], told["removed"], rig.noted) == ([], [], [])


def test_a_node_that_was_given_back_did_not_come() -> None:
    rig = Rig()
    world = rig.world(rig.plan(4, {"a": "1"}))
    pool_counted.count(world, {"b": "2", "c": "3"}, {"a": "1", "b": "2", "c": "3"})
    pool_counted.ended(world, ["c"])
    assert world.measures == {"added": {"b": "2"}, "removed": []}


def test_a_pool_that_is_deleted_tells_its_nodes_and_not_itself() -> None:
    units = (Unit(name="web-1", what="node"), Unit(name="web", what="pool", id="np-1"))
    steps = (StepSpec(step="pool_nodes_ready", hosts=("web",)),)
    plan = PoolPlan(change="pool-delete", cluster="prod", hosts=units, steps=steps, leaves="workers", wants=Wants())
    rig = Rig()
    outcome = Engine(rig.world(rig.plan(2, None)), []).run()
    outcome.made = ("web-1", "web")
    assert pool_outcome.data(plan, outcome)["removed"] == ["web-1"]


def test_a_node_whose_machine_leaves_is_not_counted_as_there() -> None:
    rig = Rig()
    instances = [each.model_copy(update={"state": "leaving"}) for each in rig.cloud.instances(WEB)[:1]]
    nodes = kube.nodes(rig.kube)
    assert pool_counted.there([*instances, *rig.cloud.instances(WEB)[1:]], nodes) == {"web-2": rig.uids()["web-2"]}


def test_a_pool_that_is_made_has_nothing_but_new_nodes() -> None:
    rig = Rig()
    told = rig.told(recipes.create("prod", WEB, PoolSpec(name="web", size=2), there=rig.cloud.web))
    assert (told["added"], told["removed"]) == (["web-1", "web-2"], [])
