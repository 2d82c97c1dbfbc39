"""What several steps ask of one API server, without a load balancer in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until

if TYPE_CHECKING:
    from scaler.gateways.kube import Kube
    from scaler.model.inventory import Host
    from scaler.steps.base import World

READY_SECONDS = 60.0
READY_TIMES = 3
LINES = 30


def direct(world: World, host: Host) -> Kube:
    """Return the API as ``host``'s own API server gives it."""
    address = f"[{host.address}]" if ":" in host.address else host.address
    return world.kube.at(f"{address}:6443")


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


def log(world: World, host: Host, unit: str) -> str:
    """Return the last lines of ``unit``'s log for the operator, nothing where the host is gone."""
    try:
        said = world.ssh.run(host, ["journalctl", "-u", unit, "-n", "200", "--no-pager", "-o", "cat"], timeout=15)
    except ScalerError:
        return ""
    lines = [line for line in said.out.splitlines() if " FLAG: " not in line][-LINES:]
    return "\n".join(["", f"last lines of {unit} on {host.name}:", *lines])
