"""Close the nodes that leave, all of them first: no pod moves to one that leaves next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.gateways.kube import nodes
from scaler.steps.leaving import MARK, another, is_same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Subject
    from scaler.plan.plan import AnyPlan
    from scaler.steps.world import AnyWorld, Failures


class NodesCordoned:
    """No new pod comes to the nodes; an annotation tells which of them this was done to."""

    title = "Close the nodes"
    commits = ""

    def describe(self, plan: AnyPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["cordon it, so that no pod comes to it any more"]

    def apply(self, world: AnyWorld, hosts: Sequence[Subject]) -> Failures:
        """Mark those that are open, then close them; one that is closed already stays as whoever closed it wants."""
        found = nodes(world.kube, [host.name for host in hosts])
        failures = {node.name: another(node) for node in found if not is_same(world.plan, node)}
        ours = [node for node in found if node.name not in failures]
        opened = [n.name for n in ours if not n.spec.unschedulable or MARK in n.metadata.annotations]
        if opened:
            # In this order: a run that is killed in between must not take its own cordon for the operator's.
            world.kube.call(["annotate", "nodes", *opened, "--overwrite", f"{MARK}={world.run}"])
            world.kube.call(["cordon", *opened])
        return failures

    def undo(self, world: AnyWorld, host: Subject) -> None:
        """Open what this run closed, unless it is to stay closed."""
        if world.plan.drain and world.plan.drain.keep_cordon:
            return
        for node in nodes(world.kube, [host.name]):
            if world.is_ours(node.metadata.annotations.get(MARK, ""), host.name):
                world.kube.call(["uncordon", node.name])
                world.kube.call(["annotate", "nodes", node.name, f"{MARK}-"])


STEP = NodesCordoned()
