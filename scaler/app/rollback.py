"""Take back what a run did, and those it went on with: never a host that joined, votes, takes pods or is another's."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from scaler import steps
from scaler.engine import chains, history
from scaler.errors import InputError, PreflightError, ScalerError
from scaler.gateways.kube import nodes
from scaler.plan.plan import Plan
from scaler.plan.recipes.add_node import RUN_ANNOTATION
from scaler.steps import sets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scaler.app.session import Session
    from scaler.engine.events import Observer
    from scaler.engine.history import Run
    from scaler.engine.run import Outcome
    from scaler.model.inventory import Host
    from scaler.model.state import Node
    from scaler.steps.base import World

# What each playbook that places a host's files leaves there: whose they are.
RECEIPTS = tuple(f"/var/lib/scaler/{bundle}.json" for bundle in ("worker", "master", "etcd"))


class Prepared(NamedTuple):
    """What a rollback will do: steps to take back by host, last first when it is done, and who stays and why."""

    of: Run
    plan: Plan
    begun: Mapping[str, tuple[str, ...]]
    keeps: Mapping[str, str]
    before: chains.Before

    @property
    def earlier(self) -> list[str]:
        """Return the runs with which it went on, which are taken back with it, oldest first."""
        return [run.name for run in self.before.all_runs()]

    @property
    def taken_back(self) -> tuple[Host, ...]:
        """Return the hosts that are given back."""
        return tuple(host for host in self.plan.hosts if host.name not in self.keeps)


def prepare(session: Session, run: Run, all_runs: Sequence[Run], *, progress: Callable[[str], None]) -> Prepared:
    """Look at what is there of what ``run`` began, and tell what can be taken back; nothing is changed."""
    intended = run.must_be_understood()
    if not isinstance(intended, Plan):
        raise InputError(
            f"run {run.name} changed pools of a managed cluster",
            hint="scaler runs show tells the size before; scaler scale --to goes there",
        )
    if intended.rolls_back:
        raise InputError(f"run {run.name} is a rollback", hint="scaler runs resume goes on with the run it took back")
    if intended.change == "init":
        raise InputError(
            f"run {run.name} made the cluster's first master, which is the cluster", hint="scaler runs resume goes on"
        )
    before = chains.before(intended, (each for each in all_runs if each.order < run.order))
    for each in before.all_runs():
        each.must_be_understood()
    begun, completed = (
        {host.name: chains.in_order(earlier(host.name), own.get(host.name, ())) for host in intended.hosts}
        for earlier, own in ((before.begun, run.begun), (before.completed, run.completed))
    )
    hosts = [host for host in intended.hosts if begun[host.name]]
    keeps = dict(_committed(intended, begun, completed))
    keeps |= {
        name: f"run {later} has taken it over; look there: scaler runs show {later}"
        for name, later in history.taken_over(run, all_runs).items()
        if begun[name] and later not in _rollbacks(all_runs)
    }
    world = _world(session, run, before)
    joining = [host for host in hosts if _joins(world, host) and host.name not in keeps]
    if joining:
        progress(f"looking at {', '.join(host.name for host in joining)}")
        keeps |= _in_use(world, joining)
    plan = Plan(
        change=history.ROLLBACK,
        cluster=intended.cluster,
        hosts=tuple(hosts),
        steps=(),
        makes=intended.makes,
        leaves=intended.leaves,
        joins=intended.joins,
        dead=intended.dead,
        rolls_back=run.name,
    )
    return Prepared(run, plan, {host.name: begun[host.name] for host in hosts}, keeps, before)


def roll_back(session: Session, prepared: Prepared, observers: Iterable[Observer]) -> Outcome:
    """Take it back, journalled as a run of its own; steps undo in the name of the run that began them."""
    world = _world(session, prepared.of, prepared.before)
    return session.roll_back(world, prepared.plan, prepared.begun, prepared.keeps, observers)


def _rollbacks(all_runs: Sequence[Run]) -> set[str]:
    return {run.name for run in all_runs if run.change == history.ROLLBACK}


def _world(session: Session, run: Run, before: chains.Before) -> World:
    """Return the world as the run had it, with what it and those ``before`` it noted of their own."""
    world = session.world(run.must_be_understood(), run.name)
    before.remind(world)
    for fact in run.facts:
        world.recall(fact)
    return world


def _committed(
    plan: Plan, begun: Mapping[str, Sequence[str]], completed: Mapping[str, Sequence[str]]
) -> Iterable[tuple[str, str]]:
    """Tell the hosts that are past the step from which nothing is taken back; where they leave, also those in it."""
    for host, told in begun.items():
        for step in told:
            why = steps.find(step).commits
            if why and step in completed.get(host, ()):
                yield host, why
            elif why and plan.leaves:
                yield host, f"it may be done: {steps.find(step).title}; scaler runs resume finds out and goes on"


def _joins(world: World, host: Host) -> bool:
    """Tell whether the run made something of ``host``, and did not take it away."""
    return not world.plan.leaves or host.name in world.plan.joins


def _in_use(world: World, hosts: Sequence[Host]) -> dict[str, str]:
    """Return the hosts that are somebody's, or that something depends on by now, with the reason."""
    try:
        found = _depended_on(world) if world.plan.makes in {"masters", "etcd"} else {}
        there = {node.name: node for node in nodes(world.kube, [host.name for host in hosts])}
    except ScalerError as e:
        raise PreflightError(
            f"what depends on {', '.join(host.name for host in hosts)} cannot be seen: {e.message}",
            hint=f"{e.hint or 'mend it first'}; nothing was touched",
        ) from e
    for host in hosts:
        node = there.get(host.name) if world.plan.makes != "etcd" else None
        why = (_not_ours(world, node) if node else "") or _other_claim(world, host)
        if why:
            found.setdefault(host.name, why)
    return {host.name: found[host.name] for host in hosts if host.name in found}


def _depended_on(world: World) -> dict[str, str]:
    """Return the hosts that vote in etcd, or that a load balancer knows."""
    found: dict[str, str] = {}
    for row in sets.look(world, configured=True).rows:
        if row.title == "etcd's voters":
            found |= dict.fromkeys(row.hosts, "it votes in etcd, and a voter is never taken out by itself")
        elif row.title.startswith("backends of"):
            found |= {name: found.get(name, f"a load balancer knows it ({row.title})") for name in row.hosts}
    return found


def _not_ours(world: World, node: Node) -> str:
    """Return why the node may not be deleted; an empty string where it is this run's and takes no pods."""
    mark = node.metadata.annotations.get(RUN_ANNOTATION, "")
    if not world.is_ours(mark, node.name):
        return f"its node is run {mark}'s" if mark else "its node was finished, or is not scaler's"
    return "" if node.spec.unschedulable else "its node takes pods; scaler remove-node takes it away"


def _other_claim(world: World, host: Host) -> str:
    """Tell of another run that placed files on ``host``; nothing where none did, or where it cannot be asked."""
    for path in RECEIPTS:
        # A host that is dead keeps nobody from taking its learner and its node out.
        with suppress(ScalerError, ValueError):
            said = world.ssh.run(host, ["cat", path])
            run = json.loads(said.out).get("claim", {}).get("run", "") if said.status == 0 else ""
            if run and not world.is_ours(run, host.name):
                return f"the files on it are run {run}'s"
    return ""
