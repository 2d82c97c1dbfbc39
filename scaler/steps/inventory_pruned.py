"""Take out of the inventory what has left, comments kept, atomically; a host that still is goes on standby."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.gateways import inventory
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Cluster, Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class InventoryPruned(Irreversible):
    """The inventory names the hosts in no group that they left."""

    title = "Take them out of the inventory"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        lines = [f"move it from '{plan.leaves}' to 'standby' in the inventory"]
        return lines + [f"{name} is dead: drop it from the inventory" for name in plan.dead]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Write the file."""
        cluster = world.cluster
        dead = [host for host in hosts if host.name in world.plan.dead]
        living = world.plan.living(hosts)
        groups = left_groups(world.plan, cluster)
        digest = inventory.leave(cluster, living, dead, groups)
        out, gone = {host.name for host in hosts}, {host.name for host in dead}
        # The next host of this run leaves a cluster that has these.
        update = {
            name: tuple(h for h in getattr(cluster, name) if h.name not in (out if name in groups else gone))
            for name in inventory.GROUPS
        }
        kept = {host.name for name in inventory.GROUPS for host in update[name]}
        update["standby"] = (*update["standby"], *(host for host in living if host.name not in kept))
        world.cluster = cluster.model_copy(update={"hosts_digest": digest, **update})
        return {}


def left_groups(plan: Plan, cluster: Cluster) -> tuple[str, ...]:
    """Return the groups that a host of ``plan`` goes out of."""
    if plan.leaves == "masters":
        return ("masters", *(("etcd",) if cluster.own_etcd else ()), "workers", "loadbalancers")
    return (plan.leaves or "workers",)


STEP = InventoryPruned()
