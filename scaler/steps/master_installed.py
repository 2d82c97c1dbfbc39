"""Place a master's files as one bundle and start etcd and the control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.base import Irreversible, master_binaries, roles_of
from scaler.steps.placing import place
from scaler.steps.voters import client_url

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
        # A cluster whose etcd stands elsewhere has its first member there by now.
        urls = [] if world.own_etcd else [client_url(member) for member in world.cluster.etcd]
        for host in hosts:
            place(world, host, None, etcd_servers=urls, group="masters", first=True)
        return {}


STEP = MasterInstalled()
