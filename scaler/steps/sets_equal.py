"""Look at every set once more and compare: voters, masters, backends, etcd lists, Nodes, the future inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError
from scaler.gateways.clock import wait_until
from scaler.steps import sets
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


# A backend may miss one check of its balancer.
SECONDS = 20.0


class SetsEqual(Irreversible):
    """Voters, masters, backends of each load balancer, each API server's list, the inventory: the same; no learner."""

    title = "Compare all sets"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "voters = masters = each load balancer's backends = each API server's etcd list = inventory; no learner"
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Look until all are equal, a while; what was left for later is not looked at."""
        gone = world.plan.leaving(hosts)
        differences: list[str] = []

        def equal() -> bool:
            nonlocal differences
            table = sets.look(world, gone=gone)
            world.measures["sets"] = table.model_dump(mode="json")
            differences = table.differences()
            return not differences

        if not wait_until(world.clock, equal, timeout=SECONDS, every=1.0):
            raise StepError("the sets are not equal: " + "; ".join(differences))
        return {}


STEP = SetsEqual()
