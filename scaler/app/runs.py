"""Go on with a run, or take it back: what its journal says was intended, and what is there now."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from scaler.engine import history
from scaler.errors import InputError
from scaler.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.engine.history import Run
    from scaler.model.inventory import Cluster, Host


def warning(cluster: str) -> str:
    """Return what is to be said before a change, where an earlier run is unfinished; else an empty string."""
    told = history.unfinished(history.runs(cluster))
    if not told:
        return ""
    names = ", ".join(f"{run.name} ({run.change} {' '.join(run.hosts)}, {run.status})" for run in told)
    back = any(run.plan is None or run.plan.can_roll_back for run in told)
    take_back = ", scaler runs rollback takes it back" if back else ""
    return f"unfinished: {names}; scaler runs resume goes on with it{take_back}"


def next_move(run: Run, all_runs: Sequence[Run]) -> str:
    """Return what an operator may do about ``run`` now; an empty string where nothing is to be done."""
    if run.going:
        return "it goes on right now; wait for its end"
    if run.problem:
        return "run the command that it was again: it looks at what is there"
    if run.change == history.ROLLBACK:
        of = run.plan.rolls_back if run.plan else ""
        return "" if run.status == "done" else f"scaler runs rollback {of} takes back what is left"
    if history.left_half_way(run, all_runs):
        return run.plan.next_moves(run.name) if run.plan else ""
    return ""


def to_resume(all_runs: Sequence[Run], name: str) -> Run:
    """Return the run that ``name`` means, or without a name the one that is unfinished; refuse one that is settled."""
    if name:
        run = history.find(all_runs, name)
    else:
        open_runs = history.unfinished(all_runs)
        if not open_runs:
            raise InputError("no run is unfinished", hint="scaler runs list shows them all")
        if len(open_runs) > 1:
            told = "\n".join(f"{run.name}: {run.change} {' '.join(run.hosts)} ({run.status})" for run in open_runs)
            raise InputError(f"several runs are unfinished:\n{told}", hint="name one: scaler runs resume RUN")
        run = open_runs[0]
    plan = run.must_be_understood()
    if plan.rolls_back:
        raise InputError(
            f"run {run.name} is a rollback", hint=f"scaler runs rollback {plan.rolls_back} goes on with it"
        )
    if run.status == "done":
        raise InputError(f"run {run.name} is done, nothing of it is missing")
    return run


def resumed(session: Session, run: Run, all_runs: Sequence[Run], *, progress: Callable[[str], None]) -> Plan:
    """Look at what is there and return the plan of what is missing of ``run``; nothing is changed.

    Hosts that a later run took over are that run's. The journal is believed for what was intended, and no further.
    """
    intended = run.must_be_understood()
    if not isinstance(intended, Plan):
        raise InputError(f"run {run.name} changed pools of a managed cluster")
    others = history.taken_over(run, all_runs)
    hosts = [_as_it_is_now(session.cluster, host) for host in intended.hosts if host.name not in others]
    if not hosts and intended.hosts:
        later = ", ".join(sorted(set(others.values())))
        raise InputError(f"run {run.name} was taken over by {later}", hint=f"look there: scaler runs show {later}")
    module = importlib.import_module(f"scaler.app.{intended.change.replace('-', '_')}")
    again = getattr(module, "again", None)
    if again is None:
        raise InputError(
            f"{intended.change} is not gone on with by its run",
            hint="run the same command again: it looks at what is there",
        )
    missing: Plan = again(session, intended.model_copy(update={"hosts": tuple(hosts)}), progress=progress)
    return missing.model_copy(update={"resumes": run.name})


def _as_it_is_now(cluster: Cluster, host: Host) -> Host:
    """Return ``host`` as the inventory has it, which may know a new key or port; else as the journal has it."""
    known = cluster.hosts().get(host.name)
    if known is not None and known.address != host.address:
        raise InputError(
            f"{host.name} had address {host.address} in that run, {cluster.hosts_file} says {known.address}",
            hint="it is another host; run the command anew for the one that you mean",
        )
    return known or host
