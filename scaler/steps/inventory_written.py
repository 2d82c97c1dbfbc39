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
    """The inventory names the hosts in their group."""

    title = "Write the inventory"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        return [f"put it under '{plan.makes}' in the inventory"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Write the file."""
        cluster, group = world.cluster, world.plan.makes
        digest = inventory.move(cluster, hosts, group)
        groups = {group, "etcd"} if group == "masters" and cluster.own_etcd else {group}
        known = {name: [*getattr(cluster, name), *hosts] for name in groups}
        # The next host of this run is added to a cluster that has these.
        world.cluster = cluster.model_copy(
            update={
                "hosts_digest": digest,
                **{name: tuple({host.name: host for host in members}.values()) for name, members in known.items()},
            }
        )
        return {}


STEP = InventoryWritten()
