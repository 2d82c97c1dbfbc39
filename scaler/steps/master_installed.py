"""Place a master's files as one bundle and start etcd and the control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps import master_credentials
from scaler.steps.base import Irreversible, master_binaries, played, roles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PLAYBOOK = "master_install.yml"


class MasterInstalled(Irreversible):
    """etcd and the control plane run on the host."""

    title = "Install etcd and the control plane"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        binaries = ", ".join(f"{b.name} {b.version}" for b in master_binaries(settings))
        return [
            f"write {binaries}",
            f"write certificates of its own, units and configuration of: {', '.join(roles_of(PLAYBOOK))}",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Issue the credentials, run the playbook."""
        variables = {}
        for host in hosts:
            directory = world.secrets(f"{host.name}-master")
            master_credentials.write(world.cluster, host, directory, world.clock.now())
            pki = dict.fromkeys(
                ("etcd_pki", "kube_apiserver_pki", "kube_controller_manager_pki", "kube_scheduler_pki"), directory
            )
            variables[host.name] = {"node_name": host.name, "node_ip": host.address, **pki}
        return played(world, PLAYBOOK, "masters", hosts, variables)


STEP = MasterInstalled()
