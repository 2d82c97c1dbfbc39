"""The command that a job's action is: what a person would type, word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.model.job_actions import AddNode, Certs, Look, RemoveNode, Scale, Snapshot, Verify

if TYPE_CHECKING:
    from scaler.model.job_actions import Action


def command(action: Action, cluster: str) -> tuple[str, ...]:
    """Return the arguments of ``scaler`` that do ``action`` on ``cluster``, asking nobody."""
    consent = ("--yes",) if action.changes else ()
    return (*_verb(action), "--cluster", cluster, *consent, "--output", "json")


def look(action: Action, cluster: str) -> tuple[str, ...]:
    """Return the arguments that only plan what ``action`` would change."""
    return (*_verb(action), "--cluster", cluster, "--plan", "--output", "json")


def status(cluster: str) -> tuple[str, ...]:
    """Return the arguments that tell how ``cluster`` is."""
    return ("status", "--cluster", cluster, "--output", "json")


def resume(run: str, cluster: str) -> tuple[str, ...]:
    """Return the arguments that go on with ``run``."""
    return ("runs", "resume", run, "--cluster", cluster, "--yes", "--output", "json")


def roll_back(run: str, cluster: str) -> tuple[str, ...]:
    """Return the arguments that take ``run`` back."""
    return ("runs", "rollback", run, "--cluster", cluster, "--yes", "--output", "json")


def _verb(action: Action) -> tuple[str, ...]:
    match action:
        case Scale():
            size = (
                ("--workers", str(action.workers))
                if action.pool is None
                else ("--pool", action.pool, "--to", str(action.to))
            )
            return ("scale", *size, *_how(action), *_drain(action))
        case AddNode():
            return ("add-node", *action.hosts, *(("--keep-going",) if action.keep_going else ()))
        case RemoveNode():
            return ("remove-node", *action.hosts, *_drain(action))
        case Verify():
            return ("verify", *action.hosts)
        case Snapshot():
            place = ("--directory", str(action.directory)) if action.directory else ()
            return ("snapshot", "--keep", str(action.keep), *place)
        case Look() | Certs():
            return ("status",)


def _how(action: Scale) -> tuple[str, ...]:
    words: tuple[str, ...] = ("--partial",) if action.partial else ()
    words += ("--autoscaler", action.autoscaler) if action.autoscaler else ()
    return (*words, *(("--rollback",) if action.rollback else ()))


def _drain(action: Scale | RemoveNode) -> tuple[str, ...]:
    words: tuple[str, ...] = ("--timeout", f"{action.timeout}s") if action.timeout is not None else ()
    words += ("--force",) if action.force else ()
    return (*words, *(("--delete-emptydir-data",) if action.delete_emptydir_data else ()))
