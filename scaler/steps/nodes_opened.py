"""Let workloads onto what was proven: uncordon, and take the run's mark off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.recipes.add_node import RUN_ANNOTATION
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class NodesOpened(Irreversible):
    """The nodes take pods."""

    title = "Open the nodes"
    # Workloads may be on it from here on.
    commits = "it has joined and stays; only what failed is missing"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["uncordon it"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Uncordon all hosts' nodes."""
        names = [host.name for host in hosts]
        world.kube.call(["uncordon", *names])
        world.kube.call(["annotate", "nodes", *names, f"{RUN_ANNOTATION}-"])
        return {}


STEP = NodesOpened()
