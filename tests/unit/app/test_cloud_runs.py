"""What is gone on with, where only the cloud's own offers tell how it was meant."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.app import cloud_runs
from scaler.errors import NotOfferedError
from scaler.model.pools import Autoscaling, Pool
from scaler.plan.pool_plan import Machine, Wants
from scaler.plan.recipes import pools as recipes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scaler.app.cloud_session import CloudSession
    from scaler.engine.history import Run
    from scaler.plan.pool_plan import PoolPlan

WEB = Pool(id="web", name="web", target=3, actual=3, min=0, max=9, state="ready", label="pool", value="web")


class Session:
    """One cluster with one pool."""

    name = "prod"

    def __init__(self, offers: Iterable[str]) -> None:
        self.offers = frozenset(offers)

    @property
    def cloud(self) -> Session:
        return self

    def pools(self) -> list[Pool]:
        return [WEB]

    def find(self, ref: str) -> Pool:
        assert ref == WEB.id
        return WEB

    def must_offer(self, offer: str, what: str) -> None:
        if offer not in self.offers:
            raise NotOfferedError(what)


def again(plan: PoolPlan, *offers: str) -> PoolPlan:
    session = cast("CloudSession", Session(offers))
    return cloud_runs._again(session, plan, cast("Run", None), set(), lambda _: None)


@pytest.mark.parametrize("offers", [(), ("autoscaler",)])
def test_bounds_without_an_autoscaler_are_gone_on_with(offers: Any) -> None:
    bounds = Autoscaling(on=False, min=2, max=20)
    plan = recipes.autoscale("prod", WEB, bounds)
    assert again(plan, *offers).wants.autoscaling == bounds


def test_a_pool_that_was_not_lowered_before_the_run_was_killed_is_told() -> None:
    first, again = Wants(sizes={"web": 1}), Wants(machines={"web-3": Machine(pool="web", instance="i-3")})
    (told,) = cloud_runs._refilled(cast("CloudSession", Session(())), first, again)
    assert "3 nodes, 2 were to be left" in told
    assert cloud_runs._refilled(cast("CloudSession", Session(())), Wants(sizes={"web": 2}), again) == []


@pytest.mark.parametrize(
    ("status", "there"), [("failed", {"b": "2"}), ("interrupted", {"a": "1"}), ("stopped", {"a": "1"})]
)
def test_nodes_are_told_once_and_those_of_a_run_that_told_nobody_are_told_by_the_next(
    status: str, there: dict[str, str]
) -> None:
    run = cast("Run", SimpleNamespace(status=status, facts=[{"intent": "set-size"}, {"there": {"b": "2"}}]))
    first = Wants(there={"a": "1"})
    assert cloud_runs._there(run, first) == there
    assert cloud_runs._there(cast("Run", SimpleNamespace(status=status, facts=[])), first) == {"a": "1"}
