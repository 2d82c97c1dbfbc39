"""Tell the load balancers their masters: validated, reloaded, seen to serve, one by one, the VIP's holder last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scaler.drivers.lb import must_put
from scaler.errors import ScalerError, StepError
from scaler.gateways.playbooks import lost
from scaler.gateways.threads import Threads
from scaler.steps.balancing import doors, driver_of, in_order, living, must_answer, must_serve
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.drivers.lb import Balancer
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# Of balancers on every worker: one alone first, then this part of them at once.
BATCH = 0.1
LATER = "its local balancer was not told the masters"


class BalancersUpdated(Irreversible):
    """Every load balancer sends to all masters, has seen each of them ready, and the API answers through it."""

    title = "Tell the load balancers"
    commits = "the load balancers send to it"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        if settings.loadbalancer == "local":
            return [
                "on each worker, one first and then in batches: validate, reload, backend up, API answers through it"
            ]
        last = ", the holder of the VIP last" if settings.vip else ""
        return [f"one after another{last}: validate, reload, backend up, API answers through it"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Tell each; where one fails, those that were told before it are given their former masters."""
        former = [master for master in world.masters if master.name not in {host.name for host in hosts}]
        tell(world, living(world), world.masters, former)
        return {}


def tell(world: World, balancers: Sequence[Balancer], masters: Sequence[Host], former: Sequence[Host]) -> None:
    """Let ``balancers`` send to exactly ``masters``; where one fails, those told before it get ``former`` again."""
    driver, told = driver_of(world), []
    if driver.everywhere:
        _everywhere(world, balancers, masters, former)
        return
    try:
        for balancer in in_order(world, balancers):
            world.say(f"{balancer.name}: sends to {', '.join(m.name for m in masters)}")
            told.append(balancer)
            must_put(driver, doors(world), balancer, masters)
            must_serve(world, balancer, masters)
            must_answer(world)
    except ScalerError as e:
        raise StepError(e.message + _given_back(world, told, former), hint=e.hint) from e


def _given_back(world: World, told: Sequence[Balancer], former: Sequence[Host]) -> str:
    """Give balancers their former masters; return what could not be given back."""
    left = []
    for balancer in reversed(told) if former else ():
        try:
            must_put(driver_of(world), doors(world), balancer, former)
        except ScalerError as e:
            left.append(f"{balancer.name} keeps the new configuration: {e.message}")
    return "".join(f"\n{line}" for line in left)


def _everywhere(world: World, balancers: Sequence[Balancer], masters: Sequence[Host], former: Sequence[Host]) -> None:
    """Tell one, then batches; who cannot be reached is for later, any other failure stops before the next batch."""
    driver = driver_of(world)
    size = max(1, round(len(balancers) * BATCH))
    starts = [0, *range(1, len(balancers), size)] if balancers else []
    batches = [balancers[i : i + (size if i else 1)] for i in starts]
    reached: list[Balancer] = []
    for batch in batches:
        world.say(f"{', '.join(b.name for b in batch)}: send to {', '.join(m.name for m in masters)}")
        failures = driver.put(doors(world), batch, masters)
        world.later |= {name: f"{LATER}: {why}" for name, why in failures.items() if lost(why)}
        told = [balancer for balancer in batch if balancer.name not in failures]
        with Threads(size) as pool:
            failures |= {
                b.name: why
                for b, why in zip(told, pool.map(partial(_why_not, world, masters), told), strict=True)
                if why
            }
        wrong = [f"{name}: {why}" for name, why in failures.items() if name not in world.later]
        reached += [balancer for balancer in batch if balancer.name not in world.later]
        if wrong:
            left = driver.put(doors(world), reached, former) if former else {}
            wrong += [f"{name} keeps the new configuration: {why}" for name, why in left.items()]
            raise StepError("\n".join(wrong))


def _why_not(world: World, masters: Sequence[Host], balancer: Balancer) -> str:
    try:
        must_serve(world, balancer, masters)
    except ScalerError as e:
        return e.message
    return ""


STEP = BalancersUpdated()
