"""Forget a VIP that has moved: nothing goes through its former holder any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps import vip_handover
from scaler.steps.base import Irreversible
from scaler.steps.vip_moved import holds_vip_with_others, other_fronts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class VipLetGo(Irreversible):
    """The former holder has the VIP nowhere, and no load balancer sends anything on to it."""

    title = "Let the VIP go"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [f"connections through {settings.vip} have ended there: it has the address no more"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Take back what was done so that connections could come to their end."""
        for host in hosts:
            if holds_vip_with_others(world.cluster, host):
                vip_handover.end(world, host, other_fronts(world, host))
        return {}


STEP = VipLetGo()
