"""Let the new master's control plane stand on its own feet: the local member of etcd first, then its controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError
from scaler.gateways import https
from scaler.gateways.clock import wait_until
from scaler.steps.api_servers import must_be_ready
from scaler.steps.balancing import set_aside, take_back
from scaler.steps.base import Irreversible
from scaler.steps.placing import APISERVER, CONTROLLERS, ETCD, place
from scaler.steps.unit_log import log
from scaler.steps.voters import client_urls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PORTS = {"kube-controller-manager.service": 10257, "kube-scheduler.service": 10259}
HEALTHY_SECONDS = 60.0


class ControlPlaneStarted(Irreversible):
    """Its API server is ready with the local member first in its list, its controllers are healthy on that server."""

    title = "Start the control plane"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "API server with the local member of etcd first, still behind no load balancer; /readyz three times",
            "controller manager and scheduler on that API server; healthz",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Start what does not run, and wait for it; a server that runs as it should is not restarted."""
        for host in hosts:
            members = world.etcd.members()
            own = [ETCD] if world.own_etcd else []
            urls = client_urls(members, host)
            # Only after an earlier run can a load balancer send to it already, and then a restart may be needed.
            aside = set_aside(world, host)
            place(world, host, [*own, APISERVER, *CONTROLLERS], etcd_servers=urls)
            must_be_ready(world, host)
            take_back(world, aside, host)
            for unit, port in PORTS.items():
                self._must_be_healthy(world, host, unit, port)
            if host.name not in {master.name for master in world.masters}:
                world.masters.append(host)
        return {}

    def _must_be_healthy(self, world: World, host: Host, unit: str, port: int) -> None:
        ask = https.Ask(address="127.0.0.1", port=port, path="/healthz")
        why = ""

        def healthy() -> bool:
            nonlocal why
            why = https.ask(world.ssh, host, [ask])[0].error
            return not why

        if not wait_until(world.clock, healthy, timeout=HEALTHY_SECONDS, every=0.5):
            raise StepError(f"{host.name}: {unit} is not healthy: {why}" + log(world, host, unit))


STEP = ControlPlaneStarted()
