"""Prove that work runs on what joined: pods start there, logs and exec answer, Services and other nodes are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.gateways.kube import nodes
from scaler.steps import proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class JoinVerified:
    """Each node has run a pod that answered every check."""

    title = "Prove that work runs"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [proof.described(settings.verify_image)]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Start one pod a node and some on old nodes, workers before masters, and run all checks."""
        names = [host.name for host in hosts]
        masters = [master.name for master in world.cluster.masters]
        peers = proof.peers_of(names, nodes(world.kube), last=masters)
        return proof.proven(world, names, peers, world.cluster.settings.verify_image)

    def undo(self, world: World, host: Host) -> None:
        """Delete the run's namespace, which a run that was killed leaves behind."""
        del host
        proof.clean_up(world)


STEP = JoinVerified()
