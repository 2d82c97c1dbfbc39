"""Tell the load balancers the masters without the one that leaves, while it still answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.balancers_updated import tell
from scaler.steps.balancing import living

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class BalancersWithout:
    """Every load balancer sends to the masters that stay and to no other, and the API answers through it."""

    title = "Take it out of the load balancers"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        last = ", the holder of the VIP last" if settings.vip else ""
        each = "on each worker, one first and then in batches" if settings.loadbalancer == "local" else "one by one"
        return [f"{each}{last}: validate, reload, the masters that stay are up, the API answers through it"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Tell each; where one fails, those that were told before it are given the masters they had."""
        away = {host.name for host in hosts}
        staying = [master for master in world.masters if master.name not in away]
        tell(world, living(world, away), staying, world.masters)
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Let the load balancers send to it again; a dead one never gets connections again."""
        if host.name in world.plan.dead:
            return
        masters = [*(master for master in world.masters if master.name != host.name), host]
        tell(world, living(world, {host.name}), masters, [])


STEP = BalancersWithout()
