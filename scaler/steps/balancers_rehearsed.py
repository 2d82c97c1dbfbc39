"""Let each load balancer judge the configuration it will get, while nothing has changed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError
from scaler.gateways.playbooks import lost
from scaler.steps.balancing import doors, driver_of, living
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class BalancersRehearsed(Irreversible):
    """Every balancer is reached, and its own program accepts the configuration with the new master."""

    title = "Rehearse the load balancers"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        return [f"have each ({settings.loadbalancer}) validate the configuration it will get; nothing is changed"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Ask each; of balancers on every worker the first that is reached, since the others get the same."""
        driver = driver_of(world)
        balancers = living(world)
        failures: Failures = {}
        for asked in [[one] for one in balancers] if driver.everywhere else [balancers]:
            failures = driver.rehearse(doors(world), asked, [*world.masters, *hosts])
            if not any(lost(why) for why in failures.values()) or not driver.everywhere:
                break
        if failures and not (driver.everywhere and all(lost(why) for why in failures.values())):
            raise StepError("\n".join(f"{name}: {why}" for name, why in failures.items()))
        return {}


STEP = BalancersRehearsed()
