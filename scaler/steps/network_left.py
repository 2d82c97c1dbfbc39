"""Have the cluster's network forget nodes that are gone, where it does not do so itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.drivers import cni
from scaler.steps.base import Irreversible
from scaler.steps.networks import doors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class NetworkLeft(Irreversible):
    """The network's API has nothing of the nodes any more, or what stays there is told."""

    title = "Have the network forget them"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [f"delete what {settings.cni} keeps for the node: its peers, and the addresses that were its own"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Delete what is there; what cannot be deleted safely stays, and is told at the end."""
        left = cni.of(world.cluster.settings.cni).leave(doors(world), hosts)
        for name, why in left.items():
            world.later[name] = "; ".join(filter(None, [world.later.get(name, ""), why]))
        return {}


STEP = NetworkLeft()
