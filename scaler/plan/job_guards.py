"""Whether a job's change is small and the cluster well enough, and whose an unfinished run is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from scaler.model.cloud_status import CloudStatus
from scaler.model.job_record import Ends, Health
from scaler.model.status import Status
from scaler.plan.quorum import quorum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from scaler.model.jobs import Guards

_DAY = 86400.0


class Change(NamedTuple):
    """How many nodes a plan adds and removes."""

    added: int = 0
    removed: int = 0

    @property
    def nodes(self) -> int:
        """Return how many nodes it touches."""
        return self.added + self.removed


class Journalled(Protocol):
    """What is asked of a run."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def job(self) -> str:
        """The job that began it, empty for a person."""

    @property
    def change(self) -> str:
        """What it does."""


def change(data: Mapping[str, Any]) -> Change:
    """Return what the plan in an envelope's ``data`` would change; that of a pool tells sizes, others tell hosts."""
    plan = data.get("plan") or {}
    wants = plan.get("wants") or {}
    size, before = wants.get("size"), wants.get("before")
    if size is not None and before is not None:
        return Change(max(0, size - before), max(0, before - size))
    acted_on = {host for step in plan.get("steps") or () for host in step["hosts"]}
    hosts = [host["name"] for host in plan.get("hosts") or () if host["name"] in acted_on]
    if not plan.get("leaves"):
        return Change(added=len(hosts))
    joins = set(plan.get("joins") or ())
    return Change(added=sum(name in joins for name in hosts), removed=sum(name not in joins for name in hosts))


def health(data: Mapping[str, Any]) -> Health | None:
    """Return what of the ``data`` of ``scaler status`` metrics and guards know; None where it told nothing."""
    if not data:
        return None
    told = {key: value for key, value in data.items() if key != "problems"}
    problems = tuple(each["message"] for each in data.get("problems") or () if not each.get("warning"))
    if "region" in told:
        return _of_cloud(CloudStatus.model_validate(told), problems)
    seen = Status.model_validate(told)
    voters = seen.etcd.voters
    healthy = sum(member.healthy is True for member in voters)
    well = healthy == len(voters) >= quorum(len(voters)) and bool(seen.etcd.leader) if voters else None
    return Health(
        api=seen.api,
        nodes=None if seen.nodes is None else len(seen.nodes),
        ready=None if seen.nodes is None else sum(node.ready for node in seen.nodes),
        voters=len(voters) or None,
        healthy_voters=healthy if voters else None,
        etcd_well=well,
        certificates=_ends(seen, seen.at),
        problems=problems,
    )


def _of_cloud(seen: CloudStatus, problems: tuple[str, ...]) -> Health:
    ready = None if seen.pools is None else sum(pool.ready for pool in seen.pools)
    return Health(api=seen.api, nodes=seen.nodes, ready=ready, problems=problems)


def _ends(seen: Status, now: datetime) -> tuple[Ends, ...]:
    return tuple(
        Ends(host=each.host, what=each.what, days=round(each.left(now).total_seconds() / _DAY, 2))
        for each in seen.certificates
    )


def too_much(guards: Guards, planned: Change) -> str:
    """Return why so large a change is refused, empty where it is not."""
    if guards.max_change is None or planned.nodes <= guards.max_change:
        return ""
    return (
        f"it would change {planned.nodes} nodes (add {planned.added}, remove {planned.removed}), "
        f"and max_change is {guards.max_change}"
    )


def too_few(guards: Guards, planned: Change, seen: Health | None) -> str:
    """Return why too few nodes are Ready for it, empty where they are enough; what is not known is not enough."""
    if guards.min_ready is None:
        return ""
    if seen is None or seen.ready is None:
        return f"nobody told how many nodes are Ready, and min_ready is {guards.min_ready}"
    left = seen.ready - planned.removed
    if left >= guards.min_ready:
        return ""
    going = f", {planned.removed} of them would leave" if planned.removed else ""
    return f"{seen.ready} nodes are Ready{going}, and min_ready is {guards.min_ready}"


def own(runs: Iterable[Journalled], job: str) -> list[str]:
    """Return the unfinished runs that ``job`` itself began."""
    return [run.name for run in runs if run.job == job]


def foreign(guards: Guards, runs: Sequence[Journalled], job: str) -> str:
    """Return which unfinished runs of somebody else's stand in the way, empty where none does."""
    others = [run for run in runs if run.job != job]
    if not guards.no_unfinished or not others:
        return ""
    told = ", ".join(f"{run.name} ({run.change}, {f'job {run.job}' if run.job else 'by hand'})" for run in others)
    return f"unfinished: {told}"


def ending(seen: Health | None, days: int) -> list[str]:
    """Return the certificates that end within ``days``, a sentence each."""
    soon = [each for each in (seen.certificates if seen else ()) if each.days < days]
    return [
        f"{each.what} of {each.host} " + (f"ends in {each.days:.0f} days" if each.days >= 0 else "is over")
        for each in sorted(soon, key=lambda each: each.days)
    ]
