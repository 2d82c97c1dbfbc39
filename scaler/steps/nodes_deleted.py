"""Delete the Nodes, and what the API keeps beside them under their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.drivers import cni
from scaler.errors import StepError, UnreachableError
from scaler.gateways.clock import wait_until
from scaler.gateways.kube import csrs, nodes
from scaler.steps.leaving import another, is_same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# Whether a request that got no answer was done shows only when the API answers again.
API_SECONDS = 60.0


class NodesDeleted:
    """The API has no Node of the hosts' names, no request of theirs waits, and their network has forgotten them."""

    title = "Delete the nodes"
    commits = "its node is deleted; the removal can only be finished"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        kinds = ", ".join(("the Node", "its pending certificate requests", *cni.of(settings.cni).node_kinds))
        return [f"delete {kinds}"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Delete exactly the Nodes that the plan saw; what is gone already is no error."""
        names = [host.name for host in hosts]
        failures: Failures = {}

        def gone() -> bool:
            try:
                found = nodes(world.kube, names)
                failures.update({node.name: another(node) for node in found if not is_same(world.plan, node)})
                ours = [node.name for node in found if node.name not in failures]
                if ours:
                    world.kube.delete("nodes", ours)
                    return False
                self._forget(world, [name for name in names if name not in failures])
            except UnreachableError as e:
                said[:] = [e]
                return False
            return True

        said: list[UnreachableError] = []
        if not wait_until(world.clock, gone, timeout=API_SECONDS, every=0.2):
            why = f"its node could not be deleted in {API_SECONDS:g} s: "
            why += said[0].message if said else "something holds it (look at its finalizers)"
            return dict.fromkeys(names, why) | failures
        return failures

    def undo(self, world: World, host: Host) -> None:
        """Nothing to take back while the Node stays; raises where it is gone or going, or nobody can tell."""
        if not any(node.metadata.deleted is None for node in nodes(world.kube, [host.name])):
            raise StepError(f"node {host.name} is deleted; the removal can only be finished")

    def _forget(self, world: World, names: Sequence[str]) -> None:
        users = {f"system:node:{name}" for name in names}
        theirs = [csr.metadata.name for csr in csrs(world.kube) if csr.pending and csr.spec.username in users]
        world.kube.delete("certificatesigningrequests.v1.certificates.k8s.io", theirs)
        for kind in cni.of(world.cluster.settings.cni).node_kinds:
            world.kube.delete(kind, names)


STEP = NodesDeleted()
