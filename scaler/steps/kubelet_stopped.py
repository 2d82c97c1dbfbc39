"""Stop the kubelets for good before their Nodes go: a Node deleted under a running kubelet is registered anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.ssh import REBOOT_SECONDS, on_each, patiently

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

UNITS = ("kubelet.service", "kube-proxy.service")
# Tells what was stopped here, a unit a line; fails where one still runs. Units in /etc cannot be masked.
_STOP = """
for unit in "$@"; do
  [ "$(systemctl show --property=LoadState --value "$unit")" = loaded ] || continue
  if systemctl is-active --quiet "$unit" || systemctl is-enabled --quiet "$unit"; then echo "$unit"; fi
  systemctl disable --now "$unit" || exit 1
  if systemctl is-active --quiet "$unit"; then echo "$unit still runs" >&2; exit 1; fi
done
"""


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

        def stop(host: Host) -> str:
            argv = ["sh", "-c", _STOP, "stop", *UNITS]
            said = patiently(world.ssh, world.clock, host, argv, timeout=120, patience=REBOOT_SECONDS)
            # One that was asked twice has told at the first time.
            world.stopped[host.name] = tuple({*world.stopped.get(host.name, ()), *said.out.split()} & {*UNITS})
            return "" if said.status == 0 else f"its kubelet cannot be stopped: {said.err.strip()}"

        done = on_each(world.plan.living(hosts), stop)
        return {n: told.message if isinstance(told, ScalerError) else told for n, told in done.items() if told}

    def undo(self, world: World, host: Host) -> None:
        """Start what was stopped; where another process stopped them, both."""
        units = world.stopped.get(host.name, UNITS)
        if host.name in world.plan.dead or not units:
            return
        said = world.ssh.run(host, ["systemctl", "enable", "--now", *units], timeout=120)
        if said.status != 0:
            raise StepError(f"{host.name}: {', '.join(units)} cannot be started again: {said.err.strip()}")


STEP = KubeletStopped()
