"""Let the cluster's network take the nodes in, and wait until it says that it has, on each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.drivers import cni
from scaler.drivers.cni import Lacking
from scaler.errors import UnreachableError
from scaler.gateways.clock import wait_until
from scaler.steps.networks import doors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.drivers.cni import Cni, Doors
    from scaler.gateways.clock import Clock
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

READY_SECONDS = 60.0
# What is lacking through another node's fault is waited for as long as sessions take to come up.
OTHERS_SECONDS = 20.0


class NetworkJoined:
    """What the network keeps in its API for the nodes is there, and it runs on each of them."""

    title = "Join the network"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [f"make what {settings.cni} keeps for a node, and wait until it says that the node is in"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Make what is missing, then look until nothing is lacking."""
        driver, known = cni.of(world.cluster.settings.cni), doors(world)
        failures = _joined(world.clock, driver, known, hosts)
        waiting = [host for host in hosts if host.name not in failures]
        begun = world.clock.monotonic()
        lacking: Mapping[str, Lacking] = {}

        def whole() -> bool:
            nonlocal lacking
            try:
                lacking = driver.lacking(known, waiting)
            except UnreachableError as e:
                lacking = {host.name: Lacking(e.message) for host in waiting}
            patient = world.clock.monotonic() - begun >= OTHERS_SECONDS
            return not any(each.fatal or not patient for each in lacking.values())

        wait_until(world.clock, whole, timeout=READY_SECONDS, every=0.5)
        for name, each in lacking.items():
            if each.fatal:
                failures[name] = f"not after {READY_SECONDS:g} s: {each.why}"
            else:
                world.say(f"{name}: {each.why}")
        return failures

    def undo(self, world: World, host: Host) -> None:
        """Take back what was made for the host; what is on its Node goes with it."""
        cni.of(world.cluster.settings.cni).unjoin(doors(world), host)


def _joined(clock: Clock, driver: Cni, known: Doors, hosts: Sequence[Host]) -> dict[str, str]:
    """Make what is missing; a load balancer that just moves is no reason to take the nodes back."""
    failures: dict[str, str] = {}
    last: UnreachableError | None = None

    def made() -> bool:
        nonlocal failures, last
        try:
            failures = driver.join(known, hosts)
        except UnreachableError as e:
            last = e
            return False
        return True

    if not wait_until(clock, made, timeout=OTHERS_SECONDS, every=0.5) and last:
        raise last
    return failures


STEP = NetworkJoined()
