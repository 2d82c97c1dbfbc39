"""Make sure that etcd stands firm before its members change: every voter healthy for six seconds on end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps import voters
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


FRESH_SECONDS = 30.0


class EtcdSteady(Irreversible):
    """All voters are healthy, close to each other, with one leader and no alarm, and no foreign learner is there."""

    title = "Hold: etcd stands firm"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        hold = f"{voters.HOLD_SECONDS:g} s"
        return [f"look until every voter has been healthy for {hold}, without a new leader or an alarm"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Look; briefly where the look before the plan has just ended."""
        fresh = world.clock.monotonic() - world.steady_at < FRESH_SECONDS
        leaving = world.plan.leaving(hosts)
        voters.steady(
            world.etcd,
            world.clock,
            world.own_members,
            hold=1.0 if fresh else voters.HOLD_SECONDS,
            going=[voters.peer_url(host) for host in leaving] if leaving else None,
        )
        world.steady_at = float("-inf")
        return {}


STEP = EtcdSteady()
