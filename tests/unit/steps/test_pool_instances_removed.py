"""What becomes of a Node whose machine the cloud was asked to end, and of its pool's size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scaler.engine.run import Engine
from scaler.errors import AmbiguousError, ConflictError, ScalerError
from scaler.model.cloud_cluster import CloudCluster
from scaler.model.clouds import MANAGED
from scaler.model.pools import Instance, Operation, Pool, Progress, Trouble
from scaler.plan.plan import Drain, Seen
from scaler.plan.pool_plan import Machine
from scaler.plan.recipes import pools as recipes
from scaler.ui import pool_outcome
from tests.fakes.clock import BEGIN, FakeClock
from tests.fakes.cloud import WEB, FakeCloud, world
from tests.fakes.kube import FakeKube

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.engine.run import Outcome
    from scaler.plan.pool_plan import Autoscaler, PoolPlan

SETTINGS = MANAGED.validate_python(
    {"kind": "tke", "cluster_name": "prod", "region": "r", "cluster_id": "c", "admin_kubeconfig": "admin.kubeconfig"}
)


class TrickyCloud(FakeCloud):
    """A pool of three; ``answers`` is what comes of the next request to end machines."""

    def __init__(self, kube: FakeKube) -> None:
        super().__init__(kube, 3)
        self.answers: Callable[[Pool, Sequence[Instance]], Operation] = super().remove_instances
        self.polled = Progress(state="done")
        self.deletion: ScalerError | None = None

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        return self.answers(pool, instances)

    def delete(self, pool: Pool) -> Operation:
        if self.deletion:
            raise self.deletion
        return Operation(change="delete", pool=pool.id, started=BEGIN)

    def poll(self, operation: Operation) -> Progress:
        del operation
        return self.polled

    def end(self, names: Sequence[str], target: int, *, others: int = 0) -> None:
        """Let machines be gone, the pool have this target, and ``others`` be there in their place."""
        for name in names:
            self.machines.remove(name)
        self.machines += [f"web-new-{number}" for number in range(others)]
        self.web = self.web.model_copy(update={"target": target})


class Rig:
    """A cluster with the pool, and its Nodes."""

    def __init__(self) -> None:
        self.kube = FakeKube(FakeClock())
        self.cloud = TrickyCloud(self.kube)

    def removal(self, *names: str, autoscaler: Autoscaler = "") -> PoolPlan:
        machines = {name: Machine(pool=WEB.id, instance=name.replace("web", "i")) for name in names}
        going = recipes.Going(machines, {WEB.id: self.cloud.web}, self.seen(*names), ())
        drain = Drain(ignore_daemonsets=True, timeout=30)
        return recipes.shrink("prod", going, drain, max_unavailable=9, autoscaler=autoscaler)

    def deletion(self) -> PoolPlan:
        seen = self.seen("web-1", "web-2", "web-3")
        return recipes.delete("prod", self.cloud.web, seen=seen, pods=(), drain=Drain(timeout=30))

    def seen(self, *names: str) -> dict[str, Seen]:
        return {name: Seen(uid=self.kube.of("Node")[name]["metadata"]["uid"]) for name in names}

    def ran(self, plan: PoolPlan) -> Outcome:
        cluster = CloudCluster(directory=Path(), settings=SETTINGS)
        return Engine(world(self.cloud, plan, self.kube, cluster=cluster, version="1.20.2"), []).run()

    def closed(self) -> set[str]:
        return {name for name, node in self.kube.of("Node").items() if node["spec"].get("unschedulable")}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def operation(*troubles: Trouble) -> Operation:
    return Operation(change="remove-instances", pool=WEB.id, instances=("i-1",), started=BEGIN, troubles=troubles)


def test_a_node_whose_machine_the_cloud_refused_to_end_is_open_again(rig: Rig) -> None:
    refused = operation(Trouble(what="i-1", code="Refused", message="it is protected"))
    rig.cloud.answers = lambda *_: refused
    outcome = rig.ran(rig.removal("web-1"))
    assert (outcome.failed, outcome.left) == ({"web-1": "i-1: it is protected (Refused)"}, {})
    assert rig.closed() == set()


def test_a_node_whose_machine_may_be_ending_stays_closed(rig: Rig) -> None:
    def lost(*_: object) -> Operation:
        raise AmbiguousError("the connection broke")

    rig.cloud.answers = lost
    outcome = rig.ran(rig.removal("web-1"))
    assert isinstance(outcome.causes["web-1"], AmbiguousError)
    assert "may be at it" in outcome.left["web-1"]
    assert rig.closed() == {"web-1"}


def test_one_of_several_of_which_nobody_knows_stays_closed(rig: Rig) -> None:
    told = operation(
        Trouble(what="i-1", code=AmbiguousError.kind, message="the connection broke"),
        Trouble(what="i-2", code="Refused", message="it is protected"),
    )
    rig.cloud.answers = lambda *_: told
    assert set(rig.ran(rig.removal("web-1", "web-2")).left) == {"web-1"}
    assert rig.closed() == {"web-1"}


def test_a_node_whose_machine_takes_too_long_to_end_stays_closed(rig: Rig) -> None:
    rig.cloud.answers = lambda *_: operation()
    rig.cloud.polled = Progress(state="running")
    assert set(rig.ran(rig.removal("web-1")).left) == {"web-1"}
    assert rig.closed() == {"web-1"}


@pytest.mark.parametrize(
    ("target", "others", "asked"),
    [
        # The removal has not lowered it: that is asked for.
        (3, 0, [2]),
        (2, 0, []),
        # Somebody asked for more meanwhile.
        (7, 0, []),
    ],
)
def test_a_size_is_lowered_only_where_no_machine_ends_by_it(
    rig: Rig, target: int, others: int, asked: list[int]
) -> None:
    def ended(*_: object) -> Operation:
        rig.cloud.end(["web-1"], target, others=others)
        return operation()

    rig.cloud.answers = ended
    assert rig.ran(rig.removal("web-1")).made == ("web-1",)
    assert rig.cloud.sizes == asked


@pytest.mark.parametrize("autoscaler", ["", "keep"])
def test_what_has_started_in_place_of_a_machine_is_not_the_clouds_to_choose_from(
    rig: Rig, autoscaler: Autoscaler
) -> None:
    def ended(*_: object) -> Operation:
        rig.cloud.end(["web-1"], 3, others=1)
        return operation()

    rig.cloud.answers = ended
    outcome = rig.ran(rig.removal("web-1", autoscaler=autoscaler))
    assert rig.cloud.sizes == []
    if autoscaler:
        assert outcome.made == ("web-1",)
    else:
        assert isinstance(outcome.causes["web-1"], ConflictError)
        assert "scaler scale --pool web --to 2" in outcome.failed["web-1"]


def test_the_nodes_of_a_pool_that_the_cloud_does_not_delete_are_open_again(rig: Rig) -> None:
    rig.cloud.deletion = ConflictError("it is being changed")
    outcome = rig.ran(rig.deletion())
    assert (outcome.made, outcome.left, rig.closed()) == ((), {}, set())
    assert {type(cause) for cause in outcome.causes.values()} == {ConflictError}


@pytest.mark.parametrize("lost", [True, False])
def test_the_nodes_of_a_pool_that_may_be_on_its_way_out_stay_closed(rig: Rig, *, lost: bool) -> None:
    rig.cloud.deletion = AmbiguousError("the connection broke") if lost else None
    rig.cloud.polled = Progress(state="running")
    outcome = rig.ran(rig.deletion())
    assert set(outcome.left) == {"web-1", "web-2", "web-3", "web"}
    assert rig.closed() == {"web-1", "web-2", "web-3"}


def test_where_one_node_of_a_pool_cannot_be_emptied_all_are_open_again_and_nothing_is_asked(rig: Rig) -> None:
    rig.kube.add_pod("held", node="web-2")
    rig.kube.pod_ends = lambda _: False
    rig.cloud.deletion = ConflictError("nobody asks")
    outcome = rig.ran(rig.deletion())
    assert (outcome.made, set(outcome.failed), outcome.left) == ((), {"web-2"}, {})
    assert rig.closed() == set()
    told = pool_outcome.error(outcome)
    assert told
    assert told.message.startswith("0 of 1 hosts made it")
