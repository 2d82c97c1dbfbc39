"""What a size means where work is to be proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from scaler.app.scale import How, picked, prepare
from scaler.errors import InputError, NotOfferedError
from scaler.model.pools import Instance
from scaler.plan.plan import Drain
from scaler.plan.pool_plan import Verify
from tests.fakes.clock import FakeClock
from tests.fakes.cloud import WEB, FakeCloud
from tests.fakes.kube import FakeKube

if TYPE_CHECKING:
    from scaler.app.cloud_session import CloudSession
    from scaler.model.pools import Pool
    from scaler.plan.pool_plan import Autoscaler, PoolPlan


class FakeSession:
    """A managed cluster with one pool of three."""

    name = "prod"

    def __init__(self) -> None:
        self.kube = FakeKube(FakeClock())
        self.cloud = FakeCloud(self.kube, 3)

    def find(self, ref: str) -> Pool:
        assert ref == WEB.name
        return self.cloud.web


def planned(session: FakeSession, wanted: str, how: How) -> PoolPlan:
    return prepare(cast("CloudSession", session), WEB.name, wanted, how, progress=lambda _: None)


def steps(plan: PoolPlan) -> list[str]:
    return [spec.step for spec in plan.steps]


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


def test_nodes_that_come_are_proven_last_and_those_that_were_ready_are_not(session: FakeSession) -> None:
    session.kube.add_node("web-3", ready=False, labels={WEB.label: WEB.value})
    plan = planned(session, "+1", How(verify=True))
    assert steps(plan) == ["pool_sized", "pool_nodes_ready", "pool_nodes_verified"]
    ready = [session.kube.of("Node")[name]["metadata"]["uid"] for name in ("web-1", "web-2")]
    assert plan.wants.verify == Verify(which="new", before=tuple(sorted(ready)))


def test_where_the_size_is_there_all_nodes_are_proven(session: FakeSession) -> None:
    plan = planned(session, "3", How(verify=True))
    assert (steps(plan), plan.wants.verify) == (["pool_nodes_verified"], Verify(which="all"))
    assert planned(session, "3", How()).empty


def test_a_run_that_is_gone_on_with_proves_what_it_was_to_prove(session: FakeSession) -> None:
    known = Verify(which="new", before=("uid-1",))
    plan = planned(session, "3", How(verify=True, known=known))
    assert (steps(plan), plan.wants.verify) == (["pool_nodes_verified"], known)


def test_what_is_given_back_is_drained_as_was_said(session: FakeSession) -> None:
    drain = Drain(timeout=7)
    assert planned(session, "4", How(verify=True, rollback=True, drain=drain)).drain == drain
    assert planned(session, "4", How(verify=True, drain=drain)).drain is None


def test_nodes_that_came_while_nobody_looked_are_still_to_be_counted(session: FakeSession) -> None:
    there = planned(session, "+1", How()).wants.there
    assert there == {name: node["metadata"]["uid"] for name, node in session.kube.of("Node").items()}
    first = {"web-1": there["web-1"]}
    plan = planned(session, "3", How(there=first))
    assert (steps(plan), plan.wants.there) == (["pool_sized", "pool_nodes_ready"], first)
    assert planned(session, "3", How(there=there)).empty


def test_of_zones_with_as_many_nodes_each_the_fullest_gives_first() -> None:
    zonal = WEB.model_copy(update={"target": 6, "zones": ("a", "b", "c"), "per_zone": True})
    there = [Instance(id=f"i-{at}", node=f"n{at}", state="running", zone=zone) for at, zone in enumerate("aabbcc")]
    assert sorted(each.zone for each in picked(zonal, there, [], 3).values()) == ["a", "b", "c"]
    uneven = [each.model_copy(update={"zone": zone}) for each, zone in zip(there, "abbbcc", strict=True)]
    assert sorted(each.zone for each in picked(zonal, uneven, [], 3).values()) == ["b", "b", "c"]


@pytest.mark.parametrize("picks", [False, True])
def test_nothing_is_proven_where_nodes_go(session: FakeSession, *, picks: bool) -> None:
    with pytest.raises(InputError, match="--verify"):
        planned(session, "2", How(verify=True, provider_picks=picks))


@pytest.mark.parametrize("wanted", ["3", "+1", "-1"])
@pytest.mark.parametrize("autoscaler", ["pin", "disable"])
def test_no_autoscaler_is_switched_in_silence_that_the_cloud_cannot_switch(
    session: FakeSession, wanted: str, autoscaler: Autoscaler
) -> None:
    with pytest.raises(NotOfferedError, match="--autoscaler"):
        planned(session, wanted, How(autoscaler=autoscaler))
