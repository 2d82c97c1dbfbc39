"""What ``--verify`` proves on a managed cluster, and what becomes of a node that fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scaler.engine.run import Engine
from scaler.errors import PartialError
from scaler.model.cloud_cluster import CloudCluster
from scaler.model.clouds import MANAGED
from scaler.model.pools import PoolSpec
from scaler.plan.plan import Drain
from scaler.plan.pool_plan import Verify
from scaler.plan.recipes import pools as recipes
from scaler.steps.pool_nodes_verified import STEP
from scaler.steps.verification_objects import verification_namespace
from scaler.ui import pool_outcome
from tests.fakes.clock import FakeClock
from tests.fakes.cloud import WEB, FakeCloud, world
from tests.fakes.kube import FakeKube, all_well

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.engine.run import Outcome
    from scaler.plan.pool_plan import PoolPlan
    from scaler.steps.clouds import CloudWorld

IMAGE = "mirror.local/busybox:1"
SETTINGS = MANAGED.validate_python(
    {
        "kind": "tke",
        "cluster_name": "prod",
        "region": "r",
        "cluster_id": "c",
        "admin_kubeconfig": "admin.kubeconfig",
        "verify_image": IMAGE,
    }
)


class Rig:
    """A cluster of one node of another pool, and the pool that grows."""

    def __init__(self, size: int = 2) -> None:
        self.kube = FakeKube(FakeClock())
        self.kube.add_node("old-1")
        self.cloud = FakeCloud(self.kube, size)

    def uids(self) -> tuple[str, ...]:
        return tuple(self.kube.of("Node")[name]["metadata"]["uid"] for name in self.cloud.machines)

    def plan(self, size: int, *, rollback: bool = False) -> PoolPlan:
        verify = Verify(which="new", before=self.uids())
        plan = recipes.grow("prod", self.cloud.web, size, rollback=rollback, verify=verify)
        return plan.model_copy(update={"drain": Drain(ignore_daemonsets=True, timeout=30)})

    def world(self, plan: PoolPlan) -> CloudWorld:
        cluster = CloudCluster(directory=Path(), settings=SETTINGS)
        return world(self.cloud, plan, self.kube, cluster=cluster, version="1.20.2")

    def ran(self, plan: PoolPlan) -> Outcome:
        return Engine(self.world(plan), []).run()

    def fails(self, *names: str) -> None:
        """Let no bytes come to pods on ``names``."""
        self.kube.pod_answers = lambda node, script: (
            all_well(node, script).replace("reaches-old-node\t0\t", "reaches-old-node\t1\tno bytes came")
            if node in names
            else all_well(node, script)
        )

    def proven_on(self) -> set[str]:
        return {told["spec"]["nodeName"] for told in self.kube.ever if told["kind"] == "Pod"} - {"old-1"}


def error(outcome: Outcome) -> PartialError:
    told = pool_outcome.error(outcome)
    assert isinstance(told, PartialError)
    return told


def test_the_new_nodes_are_proven_with_an_old_one_and_nothing_stays() -> None:
    rig = Rig()
    assert rig.ran(rig.plan(4)).made == ("web",)
    pods = [told for told in rig.kube.ever if told["kind"] == "Pod"]
    # Those of the pool that were there before are old ones too.
    assert {pod["spec"]["nodeName"] for pod in pods} == {"old-1", "web-1", "web-2", "web-3", "web-4"}
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {IMAGE}
    assert (rig.kube.of("Pod"), set(rig.kube.of("Namespace"))) == ({}, {"default", "kube-system"})


def test_a_node_that_was_there_before_is_not_judged() -> None:
    rig = Rig()
    rig.fails("web-1")
    assert rig.ran(rig.plan(3)).failed == {}


def test_a_node_that_came_back_under_an_old_name_is_new() -> None:
    rig = Rig()
    plan = rig.plan(3)
    rig.kube.add_node("web-1", labels={WEB.label: WEB.value})
    rig.fails("web-1")
    assert "web-1: reaches-old-node: no bytes came" in error(rig.ran(plan)).message


def test_a_node_that_fails_is_told_with_its_reason_and_that_it_stays() -> None:
    rig = Rig()
    rig.fails("web-4")
    told = error(rig.ran(rig.plan(4)))
    assert told.message == (
        "pool web: 1 of 2 nodes failed the checks of a join\nweb-4: reaches-old-node: no bytes came"
    )
    assert "they stay" in told.hint
    assert "scaler remove-node web-4" in told.hint
    assert (rig.cloud.web.target, rig.cloud.sizes) == (4, [4])


def test_a_pod_that_does_not_start_is_told_for_its_node() -> None:
    rig = Rig()
    rig.kube.pod_starts = lambda node: node != "web-3"
    assert "web-3: pod-starts: not after 60 s: Failed: no such image" in error(rig.ran(rig.plan(4))).message


def test_a_rollback_empties_and_ends_the_nodes_that_failed_and_no_others() -> None:
    rig = Rig()
    rig.fails("web-3")

    def comes(argv: Sequence[str]) -> str | None:
        if argv[0] == "cordon" and "app" not in rig.kube.of("Pod"):
            rig.kube.add_pod("app", "web-3", "ReplicaSet/app")
        return None

    rig.kube.refuse = comes
    outcome = rig.ran(rig.plan(4, rollback=True))
    assert "emptied and ended" in error(outcome).hint
    assert outcome.left == {}
    assert rig.kube.evicted == ["app"]
    assert rig.cloud.machines == ["web-1", "web-2", "web-4"]
    assert (rig.cloud.web.target, rig.cloud.sizes) == (3, [4])
    assert "web-3" not in rig.kube.of("Node")


def test_a_node_that_cannot_be_emptied_stays_closed_and_that_is_told() -> None:
    rig = Rig()
    rig.fails("web-3")
    rig.kube.pod_ends = lambda _: False

    def comes(argv: Sequence[str]) -> str | None:
        if argv[0] == "cordon":
            rig.kube.add_pod("app", "web-3", "ReplicaSet/app")
        return None

    rig.kube.refuse = comes
    outcome = rig.ran(rig.plan(4, rollback=True))
    assert "web-3: not drained after 30 s" in outcome.left["web"]
    assert "left as it is" in error(outcome).message
    assert "web-3" in rig.cloud.machines
    assert rig.kube.of("Node")["web-3"]["spec"]["unschedulable"] is True


def test_where_no_node_is_new_all_of_the_pool_are_proven_and_none_is_ever_ended() -> None:
    rig = Rig()
    rig.fails("web-2")
    plan = recipes.grow("prod", rig.cloud.web, 2, rollback=True, settled=True, verify=Verify(which="all"))
    outcome = rig.ran(plan)
    assert "1 of 2 nodes failed" in error(outcome).message
    assert "they stay" in error(outcome).hint
    assert rig.proven_on() == {"web-1", "web-2"}
    assert (rig.cloud.machines, rig.cloud.sizes) == (["web-1", "web-2"], [])
    assert pool_outcome.data(plan, outcome)["changed"] is False


def test_what_keeps_anything_from_being_proven_is_partial_too_and_nothing_is_ended() -> None:
    rig = Rig()
    rig.kube.refuse = lambda argv: "denied by policy" if list(argv[:2]) == ["apply", "Pod"] else None
    told = error(rig.ran(rig.plan(3, rollback=True)))
    assert "could not be proven" in told.message
    assert "denied by policy" in told.message
    assert rig.cloud.machines == ["web-1", "web-2", "web-3"]


def test_a_pool_without_nodes_has_nothing_to_prove() -> None:
    rig = Rig(0)
    plan = recipes.create("prod", WEB, PoolSpec(name="web", size=0), there=rig.cloud.web, verify=True)
    assert STEP.apply(rig.world(plan), plan.hosts) == {}
    assert verification_namespace("r") not in {told["metadata"]["name"] for told in rig.kube.ever}


def test_all_nodes_of_a_pool_that_was_made_are_new() -> None:
    rig = Rig(2)
    plan = recipes.create("prod", WEB, PoolSpec(name="web", size=2), there=rig.cloud.web, verify=True)
    assert [spec.step for spec in plan.steps] == ["pool_nodes_ready", "pool_nodes_verified"]
    assert rig.ran(plan).made == ("web",)
    assert rig.proven_on() == {"web-1", "web-2"}


@pytest.mark.parametrize(("which", "said"), [("new", "each of its new nodes"), ("all", "each node of it")])
def test_what_the_step_says_names_the_image_the_nodes_and_every_check(which: str, said: str) -> None:
    plan = recipes.grow("prod", WEB, 3, verify=Verify.model_validate({"which": which}))
    (told,) = STEP.describe(plan, SETTINGS)
    for word in (IMAGE, said, "exec-answers", "service-answers", "reaches-old-node", "reached-from-old-node"):
        assert word in told
