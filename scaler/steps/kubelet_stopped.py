"""Stop the kubelets for good before their Nodes go: a Node deleted under a running kubelet is registered anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.ssh import on_each
from scaler.steps import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

UNITS = ("kubelet.service", "kube-proxy.service")


class KubeletStopped:
    """kubelet and kube-proxy are stopped, and no reboot starts them."""

    title = "Stop the kubelets"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["stop and disable kubelet and kube-proxy, so that the node does not register itself anew"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Stop the units on all living hosts at once."""
        done = on_each(world.plan.living(hosts), lambda host: units.stop(world, host, *UNITS))
        return {name: told.message for name, told in done.items() if isinstance(told, ScalerError)}

    def undo(self, world: World, host: Host) -> None:
        """Start what was stopped; where another process stopped them, both."""
        known = UNITS if world.earlier.get(host.name) else world.stopped.get(host.name, UNITS)
        stopped = [unit for unit in known if unit in UNITS]
        if stopped and host.name not in world.plan.dead:
            units.start(world, host, *stopped)


STEP = KubeletStopped()
