"""What several steps ask of one API server, without a load balancer in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.steps.unit_log import log

if TYPE_CHECKING:
    from scaler.gateways.kube import Kube
    from scaler.model.inventory import Host
    from scaler.steps.base import World

READY_SECONDS = 60.0
READY_TIMES = 3


def direct(world: World, host: Host) -> Kube:
    """Return the API as ``host``'s own API server gives it."""
    address = f"[{host.address}]" if ":" in host.address else host.address
    return world.kube.at(f"{address}:6443")


def is_ready(world: World, host: Host) -> bool:
    """Ask ``host``'s API server once whether it is ready."""
    try:
        return direct(world, host).call(["get", "--raw", "/readyz"], timeout=10).strip() == "ok"
    except ScalerError:
        return False


def must_be_ready(world: World, host: Host) -> None:
    """Wait until /readyz of ``host``'s API server is ok three times, a second apart; raises StepError with its log."""
    kube, times, said = direct(world, host), 0, ""

    def ready() -> bool:
        nonlocal times, said
        try:
            said = kube.call(["get", "--raw", "/readyz?verbose"], timeout=10)
        except ScalerError as e:
            times, said = 0, e.message
            return False
        times += 1
        return times >= READY_TIMES

    if not wait_until(world.clock, ready, timeout=READY_SECONDS, every=1.0):
        raise StepError(
            f"{host.name}: its API server is not ready after {READY_SECONDS:g} s: {said.strip()}"
            + log(world, host, "kube-apiserver.service")
        )
