"""What several steps do with load balancers: open their doors, order them, wait until each serves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scaler.drivers import lb
from scaler.errors import ScalerError, StepError, UnreachableError
from scaler.gateways import kubeconfig
from scaler.gateways.addresses import interfaces
from scaler.gateways.clock import wait_until
from scaler.gateways.ssh import each
from scaler.steps.api_servers import is_ready
from scaler.steps.base import played

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scaler.drivers.lb import Backend, Balancer, Doors, LoadBalancer
    from scaler.model.inventory import Host
    from scaler.steps.base import World

UP_SECONDS = 30.0
FORKS = 50


def ca_of(world: World) -> str:
    """Return the cluster's CA in PEM."""
    return kubeconfig.read(world.cluster.settings.admin_kubeconfig).ca.decode()


def driver_of(world: World) -> LoadBalancer:
    """Return the driver of the cluster's load balancers."""
    return lb.of(world.cluster.settings.loadbalancer)


def doors(world: World) -> Doors:
    """Return what a driver may use."""

    def play(
        playbook: str, group: str, hosts: Sequence[Host], variables: dict[str, dict[str, Any]], *, check: bool
    ) -> dict[str, str]:
        return played(world, playbook, group, hosts, variables, check=check)

    return lb.Doors(world.cluster, world.ssh, play, ca_of(world))


def living(world: World, away: Collection[str] = ()) -> list[Balancer]:
    """Return the balancers that may be contacted, but for those on hosts that are ``away``; a dead host's never is."""
    gone = {*away, *world.plan.dead}
    return [balancer for balancer in driver_of(world).balancers(world.cluster) if balancer.name not in gone]


def in_order(world: World, balancers: Sequence[Balancer]) -> list[Balancer]:
    """Return the balancers with the one that holds the VIP last: a standby shows first whether the change is good."""
    vip = world.cluster.settings.vip
    if not vip:
        return list(balancers)
    return sorted(balancers, key=lambda b: b.host is not None and vip in interfaces(world.ssh, b.host))


def must_serve(world: World, balancer: Balancer, masters: Sequence[Host]) -> None:
    """Wait until the running balancer sends to exactly ``masters``, all up, and the API answers through it."""
    driver, open_doors = driver_of(world), doors(world)
    wanted, why = {master.address for master in masters}, ""

    def serves() -> bool:
        nonlocal why
        try:
            told = driver.serving(open_doors, balancer)
            down = [f"{b.address} ({b.told})" if b.told else b.address for b in told if not b.up]
            others = {b.address for b in told} ^ wanted
            why = f"down: {', '.join(down)}" if down else f"differs in {', '.join(sorted(others))}" if others else ""
            why = why or driver.probe(open_doors, balancer)
        except ScalerError as e:
            why = e.message
        return not why

    if not wait_until(world.clock, serves, timeout=UP_SECONDS, every=0.5):
        raise StepError(f"{balancer.name} does not serve {', '.join(m.name for m in masters)}: {why}")


def set_aside(world: World, master: Host) -> list[Balancer]:
    """Let no balancer that sends to ``master`` send new connections there; return them, for ``take_back``.

    Empty where no balancer could send to another one. Where only some could, or no other is up, or a balancer cannot be
    told, a StepError is raised and those told before are told back; of balancers on every worker, one that is not
    reached is left to its own checks.
    """
    driver = driver_of(world)
    balancers = {balancer.name: balancer for balancer in living(world)}
    told = each(balancers, lambda name: _set_aside(world, balancers[name], master), at_once=_at_once(driver))
    aside = [balancers[name] for name, result in told.items() if result is True]
    if driver.everywhere:
        lost = {name: e.message for name, e in told.items() if isinstance(e, UnreachableError)}
        world.later |= lost
        told = {name: result for name, result in told.items() if name not in lost}
    refusals = [result.message for result in told.values() if isinstance(result, ScalerError)]
    refusals += [f"{name} sends to {master.name} alone" for name, result in told.items() if result is None and aside]
    if refusals:
        take_back(world, aside, master)
        raise StepError("; ".join(refusals))
    return aside


def _set_aside(world: World, balancer: Balancer, master: Host) -> bool | None:
    """Let one balancer send no new connections to ``master``; tell whether it did, None where it knows no other."""
    driver, open_doors = driver_of(world), doors(world)
    served = driver.serving(open_doors, balancer)
    if master.address not in {backend.address for backend in served}:
        return False
    if not _others_up(served, master) and not _taken_back(world, balancer, master):
        if len(served) == 1:
            return None
        raise StepError(f"{balancer.name} has no master up but {master.name}, which stays in it")
    driver.set_aside(open_doors, balancer, world.masters, master)
    return True


def _others_up(served: Sequence[Backend], master: Host) -> bool:
    return any(backend.up for backend in served if backend.address != master.address)


def _taken_back(world: World, balancer: Balancer, master: Host) -> bool:
    """Let a balancer send to masters again that an earlier run set aside before it ended; tell whether one is up."""
    driver, open_doors = driver_of(world), doors(world)
    ready = [other for other in world.masters if other.name != master.name and is_ready(world, other)]
    for other in ready:
        # One that the balancer does not know was not set aside there.
        with suppress(StepError):
            driver.take_back(open_doors, balancer, [*ready, master], other)
    return bool(ready) and wait_until(
        world.clock,
        lambda: _others_up(driver.serving(open_doors, balancer), master),
        timeout=UP_SECONDS,
        every=0.5,
    )


def take_back(world: World, balancers: Sequence[Balancer], master: Host) -> None:
    """Let ``balancers`` send to ``master`` again; raises the error of the first that cannot be told."""
    by_name = {balancer.name: balancer for balancer in balancers}
    driver, open_doors = driver_of(world), doors(world)

    def back(name: str) -> None:
        driver.take_back(open_doors, by_name[name], world.masters, master)

    told = each(by_name, back, at_once=_at_once(driver))
    for result in told.values():
        if isinstance(result, ScalerError):
            raise result


def taken_back_if_ready(world: World, leaving: Sequence[Host]) -> None:
    """Let balancers send again to masters that an earlier run set aside and that are ready; not to those ``leaving``.

    A balancer that does not answer, or a master that it does not know, is left to whoever needs it.
    """
    driver, open_doors = driver_of(world), doors(world)
    away = {host.name for host in leaving}
    ready = [m for m in world.masters if m.name not in away and is_ready(world, m)]
    balancers = {balancer.name: balancer for balancer in living(world, away)}

    def back(name: str) -> None:
        told = driver.serving(open_doors, balancers[name])
        there = [m for m in world.masters if m.address in {backend.address for backend in told}]
        up = {backend.address for backend in told if backend.up}
        for master in ready:
            if master.address not in up:
                there = [*(m for m in there if m.name != master.name), master]
                with suppress(StepError):
                    driver.take_back(open_doors, balancers[name], there, master)

    each(balancers, back, at_once=_at_once(driver))


def forget_gone(world: World, leaving: Sequence[Host]) -> None:
    """Count no longer as a master that serves who leaves and whom no balancer knows any more, by an earlier run."""
    driver, open_doors = driver_of(world), doors(world)
    away = {host.name for host in leaving}
    balancers = {balancer.name: balancer for balancer in living(world, away)}
    if not away or not balancers:
        return
    told = each(balancers, lambda name: driver.serving(open_doors, balancers[name]))
    known = {
        backend.address for serving in told.values() if not isinstance(serving, ScalerError) for backend in serving
    }
    world.masters[:] = [master for master in world.masters if master.name not in away or master.address in known]


def _at_once(driver: LoadBalancer) -> int:
    """Return how many balancers are told at once: of those that all clients share, one."""
    return FORKS if driver.everywhere else 1


def must_answer(world: World) -> None:
    """Ask the API through its endpoint, where the VIP stands if there is one."""
    why = ""

    def answers() -> bool:
        nonlocal why
        try:
            why = "" if world.kube.call(["get", "--raw", "/readyz"]).strip() == "ok" else "not ok"
        except ScalerError as e:
            why = e.message
        return not why

    if not wait_until(world.clock, answers, timeout=UP_SECONDS, every=0.5):
        raise StepError(f"the API does not answer through {world.cluster.settings.api_endpoint}: {why}")
