"""Place the first member of an etcd on a host of its own, and start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.base import Irreversible, etcd_binaries
from scaler.steps.placing import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class EtcdInstalled(Irreversible):
    """etcd runs on a host of its own."""

    title = "Install etcd on a host of its own"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [
            f"write {', '.join(f'{b.name} {b.version}' for b in etcd_binaries(settings))}, its certificates, its unit"
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Place and start it."""
        for host in hosts:
            place(world, host, None, group="etcd", first=True)
        return {}


STEP = EtcdInstalled()
