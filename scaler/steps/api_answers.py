"""Wait until the API answers through the load balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.clock import wait_until
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

SECONDS = 60.0


class ApiAnswers(Irreversible):
    """/readyz is ok through the load balancer."""

    title = "Wait for the API"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [f"wait until https://{settings.api_endpoint}/readyz answers"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Ask until it is ok."""
        said = ""

        def answers() -> bool:
            nonlocal said
            try:
                said = world.kube.call(["get", "--raw", "/readyz"])
            except ScalerError as e:
                said = e.message
            return said.strip() == "ok"

        if wait_until(world.clock, answers, timeout=SECONDS, every=0.5):
            return {}
        return {host.name: f"the API is not ready after {SECONDS:g} s: {said}" for host in hosts}


STEP = ApiAnswers()
