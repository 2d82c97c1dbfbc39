"""Stop the control plane of a master that leaves, and see its address leave the Service ``kubernetes``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks import masters
from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.steps.api_servers import must_be_ready
from scaler.steps.placing import APISERVER, CONTROLLERS
from scaler.steps.units import start, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

LEAVE_SECONDS = 20.0
PREFIX = "/registry"


class ControlPlaneStopped:
    """Its controllers and its API server are stopped and disabled, no client is sent to its address any more."""

    title = "Stop the control plane"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "stop and disable controller manager and scheduler, then the API server (SIGTERM)",
            f"its address leaves the endpoints of 'kubernetes' within {LEAVE_SECONDS:g} s, else its lease is deleted",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Stop what runs; from here on it is no master that serves."""
        for host in hosts:
            prefix = _prefix(world, host)
            stop(world, host, *CONTROLLERS, APISERVER)
            world.masters[:] = [master for master in world.masters if master.name != host.name]
            _must_leave_endpoints(world, host, prefix)
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Start the API server, and behind it the controllers."""
        start(world, host, APISERVER)
        must_be_ready(world, host)
        for unit in CONTROLLERS:
            start(world, host, unit)
        if host.name not in {master.name for master in world.masters}:
            world.masters.append(host)


def _prefix(world: World, host: Host) -> str:
    """Return where the API servers keep their keys in etcd, as one that runs says."""
    for master in [each for each in world.masters if each.name != host.name] or [host]:
        flags = masters.look(world.ssh, master).components.get(masters.APISERVER)
        if flags is not None:
            return flags.get("etcd-prefix", PREFIX).rstrip("/")
    return PREFIX


def _must_leave_endpoints(world: World, host: Host, prefix: str) -> None:
    if _left(world, host):
        return
    # Its lease would end by itself; an API server that was killed has not given it back.
    key = f"{prefix}/masterleases/{host.address}"
    world.say(f"{host.name}: its address is still an endpoint of 'kubernetes'; its lease {key} is deleted")
    world.note({"intent": "delete masterlease", "key": key})
    world.etcd.delete(key)
    if not _left(world, host):
        raise StepError(
            f"{host.address} is still an endpoint of the Service 'kubernetes' though its API server is stopped",
            hint="kubectl get endpoints kubernetes; then run the same command again",
        )


def _left(world: World, host: Host) -> bool:
    def gone() -> bool:
        try:
            told = world.kube.get("endpoints", ["kubernetes"], namespace="default")
        except ScalerError:
            return False
        subsets = [subset for each in told for subset in each.get("subsets") or ()]
        return host.address not in {address["ip"] for subset in subsets for address in subset.get("addresses") or ()}

    return wait_until(world.clock, gone, timeout=LEAVE_SECONDS, every=0.5)


STEP = ControlPlaneStopped()
