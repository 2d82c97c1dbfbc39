"""Let another load balancer take the VIP from one that leaves with its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.drivers import lb
from scaler.errors import ScalerError, StepError
from scaler.gateways.addresses import interfaces
from scaler.gateways.clock import wait_until
from scaler.steps import vip_handover
from scaler.steps.balancing import must_answer
from scaler.steps.units import start, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Cluster, Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

KEEPALIVED = "keepalived.service"
# It tells the others that it goes, so they do not wait for adverts that do not come.
SECONDS = 15.0
LOOPBACK = "lo"


class VipMoved:
    """Keepalived is stopped on the host, another load balancer has the VIP, and the API answers there."""

    title = "Move the VIP"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [
            f"stop Keepalived there, see {settings.vip} at another load balancer and the API answer through it",
            "connections that are under way go on through this one until it is given back",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Stop it and look who has the VIP."""
        for host in hosts:
            if not holds_vip_with_others(world.cluster, host):
                continue
            why = vip_handover.begin(world, host, other_fronts(world, host))
            if why:
                world.say(f"connections through {host.name} may break when the VIP moves: {why}")
            stop(world, host, KEEPALIVED)
            _must_have_moved(world, host)
            must_answer(world)
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Start Keepalived again; its priority decides whether it takes the VIP back."""
        if holds_vip_with_others(world.cluster, host):
            start(world, host, KEEPALIVED)
            vip_handover.end(world, host, other_fronts(world, host))
            must_answer(world)


def holds_vip_with_others(cluster: Cluster, host: Host) -> bool:
    """Tell whether ``host`` is one of the load balancers between which Keepalived moves a VIP."""
    fronts = {balancer.name for balancer in lb.of(cluster.settings.loadbalancer).balancers(cluster) if balancer.host}
    return bool(cluster.settings.vip) and host.name in fronts & {each.name for each in cluster.loadbalancers}


def other_fronts(world: World, host: Host) -> list[Host]:
    """Return the living load balancers that the VIP may move to from ``host``."""
    return [each for each in world.plan.living(world.cluster.loadbalancers) if each.name != host.name]


def _must_have_moved(world: World, host: Host) -> None:
    vip, why = world.cluster.settings.vip or "", ""
    others = other_fronts(world, host)

    def moved() -> bool:
        nonlocal why
        try:
            if interfaces(world.ssh, host).get(vip, LOOPBACK) != LOOPBACK:
                why = f"{host.name} still has it"
            else:
                holders = [each.name for each in others if vip in interfaces(world.ssh, each)]
                why = "" if len(holders) == 1 else f"{', '.join(holders) or 'nobody'} has it"
        except ScalerError as e:
            why = e.message
        return not why

    if not wait_until(world.clock, moved, timeout=SECONDS, every=0.2):
        raise StepError(
            f"the VIP {vip} did not move from {host.name}: {why}",
            hint=f"systemctl status {KEEPALIVED} on {', '.join(each.name for each in others) or 'another balancer'}",
        )


STEP = VipMoved()
