"""Configure the load balancers in front of the API servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.base import Irreversible, played

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PLAYBOOK = "loadbalancer_install.yml"


class LoadbalancerInstalled(Irreversible):
    """HAProxy listens and checks the masters by /readyz."""

    title = "Configure the load balancers"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [f"validate and load HAProxy's configuration for {settings.api_endpoint}"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Run the playbook on all load balancers."""
        masters = [{"name": host.name, "address": host.address} for host in world.cluster.masters]
        port = world.cluster.settings.api_port
        own = {host.name: {"lb_masters": masters, "lb_bind": f"{host.address}:{port}"} for host in hosts}
        return played(world, PLAYBOOK, "loadbalancers", hosts, own) if hosts else {}


STEP = LoadbalancerInstalled()
