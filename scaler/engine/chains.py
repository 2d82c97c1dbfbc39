"""Runs that go on with one another on a host: the last of them is answerable for what all of them began there."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from scaler import steps
from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from scaler.engine.history import Run
    from scaler.plan.plan import AnyPlan
    from scaler.steps.world import AnyWorld

Chain = tuple["Run", ...]


def chains(all_runs: Iterable[Run], hosts: Collection[str] = ()) -> dict[str, Chain]:
    """Return, by host, the runs that left it half-way, oldest first; a host that is settled has none.

    ``hosts`` are those to tell of, all where none is named.
    """
    found: dict[str, Chain] = {}
    for run in all_runs:
        if run.plan is None:
            continue
        # A run that goes on with another, or takes it back, has in its plan only the hosts with something to do.
        of = run.plan.resumes or run.plan.rolls_back
        handed = {host for host, chain in found.items() if chain[-1].name == of}
        for host in handed.union(run.hosts if not hosts else set(run.hosts) & set(hosts)):
            chain = _after(run, run.plan, host, found.pop(host, ()))
            if chain:
                found[host] = chain
    return found


def _after(run: Run, plan: AnyPlan, host: str, chain: Chain) -> Chain:
    """Return the ``chain`` of ``host`` once ``run`` has been there, or goes on there now."""
    if plan.rolls_back:
        if not chain or chain[-1].name != plan.rolls_back or not (run.status == "done" or host in run.undone):
            return chain
        mine = _same_aim(chain[-1].plan, host, chain)
        return chain[: -len(mine)] if _all_taken_back(mine, host, run) else chain
    if plan.goes_nowhere(host):
        return chain
    if host not in run.hosts or host in run.finished:
        return ()
    mine = _same_aim(plan, host, chain)
    # What gave back its own only, or failed before it did anything, has not settled what was begun before it.
    if not run.going and host not in run.half_way and _all_taken_back((*mine, run), host, run):
        return chain[: len(chain) - len(mine)]
    return (*chain, run)


def _same_aim(plan: AnyPlan | None, host: str, chain: Chain) -> Chain:
    """Return the last runs of the chain that had the host become what ``plan`` has it become."""
    wanted = plan and plan.aim(host)
    last = list(takewhile(lambda run: run.plan and run.plan.aim(host) == wanted, reversed(chain)))
    return tuple(reversed(last))


def _all_taken_back(mine: Chain, host: str, by: Run) -> bool:
    """Tell whether ``by``, which gave the host back, did so for all of ``mine``, of which it was the last one's turn.

    A scaler that knew of no chain took back what that one run had begun.
    """
    known = {*mine[-1].begun.get(host, ()), *by.takes_back(host)}
    return all(run.has_to_take_back(host) <= known for run in mine[:-1])


@dataclass(frozen=True)
class Before:
    """The runs with which one goes on, by host, what they began there, and what the one has ``planned`` there."""

    runs: Mapping[str, Chain] = field(default_factory=dict)
    planned: Mapping[str, Collection[str]] = field(default_factory=dict)

    def begun(self, host: str) -> tuple[str, ...]:
        """Return the steps that they began on ``host``, in order."""
        return in_order(*(run.begun.get(host, ()) for run in self.runs.get(host, ())))

    def completed(self, host: str) -> tuple[str, ...]:
        """Return the steps that one of them completed on ``host``."""
        return in_order(*(run.completed.get(host, ()) for run in self.runs.get(host, ())))

    def all_runs(self) -> list[Run]:
        """Return them, oldest first."""
        return sorted({run.name: run for chain in self.runs.values() for run in chain}.values(), key=lambda r: r.order)

    def committed(self) -> dict[str, str]:
        """Return the hosts on which nothing is taken back without a look at the cluster, and why."""
        return {host: why for host in self.runs if (why := self._commits(host))}

    def _commits(self, host: str) -> str:
        for run in self.runs[host]:
            try:
                run.must_be_understood()
            except InputError as e:
                return e.message
        for step in self.begun(host):
            if steps.find(step).commits:
                done = step in self.completed(host)
                return (
                    steps.find(step).commits
                    if done
                    else f"it may be done: {steps.find(step).title}; the next run finds out"
                )
        # Whoever else went on with it may have finished it: what is there needs no more than what is planned.
        further = set().union(*(run.has_to_take_back(host) for run in self.runs[host])) - set(self.planned[host])
        return "it is further than this machine's runs brought it; scaler runs rollback looks first" if further else ""

    def remind(self, world: AnyWorld) -> None:
        """Let the world know what is theirs, which is its run's now, and what they noted."""
        world.earlier = {host: tuple(run.name for run in chain) for host, chain in self.runs.items()}
        for run in self.all_runs():
            for fact in run.facts:
                world.recall(fact)


def before(plan: AnyPlan, earlier: Iterable[Run]) -> Before:
    """Return those of the ``earlier`` runs with which a run of ``plan`` goes on."""
    names = {host.name for host in plan.hosts}
    found = {host: _same_aim(plan, host, chain) for host, chain in chains(earlier, names).items() if host in names}
    planned = {host: [spec.step for spec in plan.steps if host in spec.hosts] for host in found}
    return Before({host: chain for host, chain in found.items() if chain}, planned)


def in_order(*told: Iterable[str]) -> tuple[str, ...]:
    """Return the steps of one run after the other as one run's: what goes on repeats from the beginning."""
    return tuple(dict.fromkeys(step for each in told for step in each))
