"""Write the inventory last: only the hosts that made it, comments kept, atomically."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.gateways import inventory
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class InventoryWritten(Irreversible):
    """The inventory names the hosts among its workers."""

    title = "Write the inventory"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["put it under 'workers' in the inventory"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Write the file."""
        inventory.add_workers(world.cluster, hosts)
        return {}


STEP = InventoryWritten()
