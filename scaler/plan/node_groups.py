"""What becomes of the Cluster Autoscaler's wishes: pure functions from one ledger to the next.

Invariants, at every point and after every restart:

* A host has one wish at most, and so is in one group and in one run at most.
* A wish names its host. A run that is begun a second time is about the same hosts, and a host that has come already
  changes nothing: no increase is ever done twice.
* The size of a group is the number of its machines that do not leave. Only ``delete`` lets one that is there leave,
  and one whose Node is Ready never where fewer Ready ones than the group's min would stay.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from scaler.errors import GuardError
from scaler.model.node_groups import SCHEME, Batch, Instance, Ledger, Trouble, Wish
from scaler.plan.standby import Candidate, pick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.model.inventory import Host
    from scaler.model.node_groups import Ended, Named, Verb, World

# Codes of machines that did not come; the autoscaler counts errors by them.
SHORT = "out-of-standby"
GONE = "host-gone"
# Exit codes of runs that did not end for a reason of their hosts': nobody saw the end, another run went on, the API did
# not answer, somebody stopped it.
INTERRUPTED = -1
_LOCKED, _UNREACHABLE, _ABORTED = 6, 7, 10
_REFUSED = {3, 4}
_AGAIN = timedelta(seconds=5)
_REST, _LONGEST_REST = timedelta(seconds=30), timedelta(minutes=15)
_TRIES = 20


class RefusedError(GuardError):
    """The autoscaler asked for what cannot be; ``status`` is gRPC's word for why."""

    def __init__(
        self,
        status: Literal["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED"],
        message: str,
    ) -> None:
        super().__init__(message)
        self.status = status


class Bounds(NamedTuple):
    """Between which sizes a group may be."""

    least: int
    most: int


def groups(world: World) -> tuple[str, ...]:
    """Return the names of the groups."""
    return tuple(world.cluster.settings.pools)


def bounds(world: World, group: str) -> Bounds:
    """Return the bounds of ``group``; without a max it is all machines that the inventory has for it."""
    if group not in world.cluster.settings.pools:
        raise RefusedError("NOT_FOUND", f"cluster {world.cluster.name} has no pool {group!r}")
    pool, cluster = world.cluster.settings.pools[group], world.cluster
    hosts = {host.name for host in (*cluster.working(group), *cluster.waiting(group))}
    return Bounds(pool.min, len(hosts) if pool.max is None else pool.max)


def instances(world: World, ledger: Ledger, group: str) -> tuple[Instance, ...]:
    """Return the machines of ``group``: those that work, come, did not come, or leave."""
    bounds(world, group)
    found = []
    for host in world.cluster.working(group):
        wish = ledger.wish(host.name)
        state: Literal["running", "deleting"] = "deleting" if wish and wish.out else "running"
        found.append(Instance(id=world.id_of(host.name), host=host.name, state=state))
    working = {instance.host for instance in found}
    for wish in ledger.wishes:
        if wish.group == group and wish.host not in working:
            told = {"code": wish.code, "error": wish.error, "short": wish.short}
            found.append(
                Instance(
                    id=world.id_of(wish.host), host=wish.host, state="deleting" if wish.out else "creating", **told
                )
            )
    return tuple(found)


def target(world: World, ledger: Ledger, group: str) -> int:
    """Return the size that ``group`` comes to."""
    return sum(instance.state != "deleting" for instance in instances(world, ledger, group))


def group_of(world: World, ledger: Ledger, named: Named) -> str:
    """Return the group of a Node or machine, an empty string where it is none of ours."""
    for group in groups(world):
        if _found(instances(world, ledger, group), named):
            return group
    return ""


def _found(among: Iterable[Instance], named: Named) -> Instance | None:
    """Find by ID; by name only what has no ID of its own, so that a Node of the same name elsewhere is not ours."""
    for instance in among:
        if instance.id in {named.id, named.name}:
            return instance
        if named.name == instance.host and not named.id:
            return instance
    return None


def increase(world: World, ledger: Ledger, group: str, delta: int, now: datetime) -> Ledger:
    """Let ``delta`` more machines come: hosts on standby are taken at once, so that nobody else gets them.

    Where too few are there, those come, and the rest is told as machines that did not.
    """
    if delta < 1:
        raise RefusedError("INVALID_ARGUMENT", f"group {group}: an increase by {delta} is none")
    size, most = target(world, ledger, group), bounds(world, group).most
    if size + delta > most:
        raise RefusedError("OUT_OF_RANGE", f"group {group} has size {size} and max {most}: {delta} more are too many")
    hosts = _pick(world, ledger, group, delta)
    if not hosts:
        raise RefusedError(
            "RESOURCE_EXHAUSTED", f"group {group}: no host of the pool is on standby; {delta} more were asked for"
        )
    short = delta - len(hosts)
    why = f"the pool had {len(hosts)} hosts on standby when {delta} were asked for"
    missing = [
        Wish(host=f"missing:{group}:{number}", group=group, since=now, code=SHORT, error=why, short=True)
        for number in range(ledger.missed + 1, ledger.missed + short + 1)
    ]
    coming = [Wish(host=host.name, group=group, since=now) for host in hosts]
    return ledger.model_copy(
        update={"wishes": (*ledger.wishes, *coming, *missing), "missed": ledger.missed + len(missing)}
    )


def _pick(world: World, ledger: Ledger, group: str, count: int) -> tuple[Host, ...]:
    """Choose hosts on standby; what failed lately, or has a Node that somebody made just now, comes last."""
    cluster = world.cluster
    taken = {wish.host for wish in ledger.wishes}
    free = [host for host in cluster.waiting(group) if host.name not in taken]
    there = [*cluster.working(), *(host for host in cluster.waiting() if host.name in taken)]
    doubtful = {host.name for host in free if host.name in ledger.troubles or world.node(host.name) is not None}
    sound = pick([Candidate(host) for host in free if host.name not in doubtful], there, {}, count).hosts
    others = [
        Candidate(host, doubts=ledger.troubles[host.name].times if host.name in ledger.troubles else 1)
        for host in free
        if host.name in doubtful
    ]
    return (*sound, *pick(others, [*there, *sound], {}, count - len(sound)).hosts)


def decrease(world: World, ledger: Ledger, group: str, delta: int) -> Ledger:
    """Take back ``-delta`` machines that are not there: those that did not come first, then the newest not begun."""
    if delta > -1:
        raise RefusedError(
            "INVALID_ARGUMENT", f"group {group}: the target is decreased by a negative number, not by {delta}"
        )
    size, least = target(world, ledger, group), bounds(world, group).least
    mine = [wish for wish in ledger.wishes if wish.group == group and not wish.out and not _there(world, wish.host)]
    open_ = sorted(
        (wish for wish in mine if not ledger.goes(wish.host)),
        key=lambda wish: (not wish.error, not wish.short, -wish.since.timestamp()),
    )
    if len(open_) < -delta:
        raise RefusedError(
            "FAILED_PRECONDITION",
            f"group {group}: {-delta} are to be taken back, and {len(open_)} have not begun; "
            "machines that are there leave by name only",
        )
    back = open_[:-delta]
    if size + delta < least and any(not wish.error for wish in back):
        raise _below(group, size, least, -delta)
    return _without(ledger, {wish.host for wish in back})


def delete(world: World, ledger: Ledger, group: str, named: Sequence[Named], now: datetime) -> Ledger:
    """Let the machines ``named`` leave; all of them or, with a reason, none."""
    among, leaving = instances(world, ledger, group), []
    for each in named:
        instance = _found(among, each)
        if instance is None:
            raise RefusedError("INVALID_ARGUMENT", f"{each.name or each.id} is not a machine of group {group}")
        if instance.state != "deleting" and instance not in leaving:
            leaving.append(instance)
    size, least = target(world, ledger, group), bounds(world, group).least
    # What did not come is nothing that a size would need.
    fewer = sum(not instance.error for instance in leaving)
    if fewer and size - fewer < least:
        raise _below(group, size, least, fewer)
    ready = sum(_ready(world, instance) for instance in among)
    going = sum(_ready(world, instance) for instance in leaving)
    if going and ready - going < least:
        # What only comes may never arrive, and what is not Ready may never be: one that works does not leave for those.
        raise RefusedError(
            "FAILED_PRECONDITION",
            f"group {group} has {ready} Ready machines and min {least}: {going} fewer Ready ones are too many",
        )
    for instance in leaving:
        trouble = ledger.troubles.get(instance.host)
        if instance.state == "running" and trouble and trouble.until > now:
            raise RefusedError(
                "FAILED_PRECONDITION",
                f"{instance.host} could not be removed just now: {trouble.why}; "
                f"it may be tried again at {trouble.until:%H:%M:%S} UTC",
            )
    hosts = {instance.host for instance in leaving}
    gone = [
        Wish(host=instance.host, group=group, out=True, since=now)
        for instance in leaving
        if _there(world, instance.host) or ledger.goes(instance.host)
    ]
    kept = _without(ledger, hosts)
    return kept.model_copy(update={"wishes": (*kept.wishes, *gone)})


def _ready(world: World, instance: Instance) -> bool:
    """Tell whether work runs on it: a worker that stays, and whose Node was Ready at the last look."""
    node = world.node(instance.host)
    return instance.state == "running" and node is not None and node.ready


def _below(group: str, size: int, least: int, fewer: int) -> RefusedError:
    return RefusedError(
        "FAILED_PRECONDITION", f"group {group} has {size} machines and min {least}: {fewer} fewer are too many"
    )


def settled(world: World, ledger: Ledger) -> Ledger:
    """Forget what has come true, and tell of machines that can never come."""
    wishes = []
    for wish in ledger.wishes:
        new = _settled(world, ledger, wish)
        if new is not None:
            wishes.append(new)
    # A trouble is forgotten when its host came or went at last, or long after its rest is over.
    done = {wish.host for wish in ledger.wishes} - {wish.host for wish in wishes}
    troubles = {
        host: trouble
        for host, trouble in ledger.troubles.items()
        if host not in done and world.at - trouble.until < _LONGEST_REST
    }
    if tuple(wishes) == ledger.wishes and troubles == ledger.troubles:
        return ledger
    return ledger.model_copy(update={"wishes": tuple(wishes), "troubles": troubles})


def _settled(world: World, ledger: Ledger, wish: Wish) -> Wish | None:
    if wish.out:
        return wish if _there(world, wish.host) or ledger.goes(wish.host) else None
    if any(host.name == wish.host for host in world.cluster.working()):
        return None
    waits = any(host.name == wish.host for host in world.cluster.waiting(wish.group))
    if waits or wish.error or ledger.goes(wish.host):
        return wish
    why = f"{wish.host} is not on standby in pool {wish.group} any more"
    return wish.model_copy(update={"code": GONE, "error": why})


def next_batch(world: World, ledger: Ledger, now: datetime) -> Ledger:
    """Begin the next run: all that waits for the same verb as who waits longest; the same ledger where nothing does."""
    if ledger.batch is not None:
        return ledger
    ready = [
        wish
        for wish in ledger.wishes
        if not wish.error and (wish.not_before is None or wish.not_before <= now) and _doable(world, wish)
    ]
    if not ready:
        return ledger
    first = min(ready, key=lambda wish: (wish.since, wish.host))
    same = [first] if first.alone else [wish for wish in ready if wish.out == first.out and not wish.alone]
    verb: Verb = "remove-node" if first.out else "add-node"
    return ledger.model_copy(update={"batch": Batch(verb=verb, hosts=tuple(wish.host for wish in same), began=now)})


def _doable(world: World, wish: Wish) -> bool:
    waits = any(host.name == wish.host for host in world.cluster.waiting(wish.group))
    return _there(world, wish.host) if wish.out else waits


def ended(world: World, ledger: Ledger, told: Ended, now: datetime) -> Ledger:
    """Take in how the run ended; ``world`` was looked at afterwards, and says who has come and who has gone."""
    batch = ledger.batch
    if batch is None:
        return ledger
    ledger = settled(world, ledger.model_copy(update={"batch": None}))
    for host in batch.hosts:
        wish = ledger.wish(host)
        # What the autoscaler wants otherwise by now did not fail: it waits for its own run.
        if wish is not None and wish.out == (batch.verb == "remove-node"):
            ledger = _failed(ledger, wish, told, batch, now)
    return ledger


def staying(before: Ledger, after: Ledger) -> tuple[str, ...]:
    """Return the machines that were to leave, and stay since they could not."""
    leaving = (wish.host for wish in before.wishes if wish.out)
    return tuple(host for host in leaving if after.wish(host) is None and host in after.troubles)


def _failed(ledger: Ledger, wish: Wish, told: Ended, batch: Batch, now: datetime) -> Ledger:
    why = told.failed.get(wish.host, "")
    if not why:
        tries = wish.tries + 1
        again = wish.model_copy(update={"tries": tries, "not_before": now + _AGAIN})
        if told.exit_code in {_LOCKED, _ABORTED}:
            return _replaced(ledger, again)
        if (told.exit_code in {0, _UNREACHABLE} or told.exit_code < 0) and tries < _TRIES:
            return _replaced(ledger, again)
        if len(batch.hosts) > 1 and told.exit_code in _REFUSED:
            # One that is not fit lets all be refused; which one it is shows when each is tried by itself.
            return _replaced(ledger, again.model_copy(update={"alone": True, "not_before": None}))
    code = "host-failed" if why else told.kind or "run-failed"
    why = why or told.message or f"the run ended with exit code {told.exit_code}"
    times = ledger.troubles[wish.host].times + 1 if wish.host in ledger.troubles else 1
    rest = min(_REST * 2 ** min(times - 1, 10), _LONGEST_REST)
    trouble = Trouble(times=times, why=why, until=now + rest)
    ledger = ledger.model_copy(update={"troubles": {**ledger.troubles, wish.host: trouble}})
    if wish.out:
        return _without(ledger, {wish.host})
    return _replaced(ledger, wish.model_copy(update={"code": code, "error": why}))


def _there(world: World, host: str) -> bool:
    """Tell whether anything of ``host`` is in the cluster: a worker in the inventory, or a Node."""
    return world.node(host) is not None or any(host == other.name for other in world.cluster.working())


def _without(ledger: Ledger, hosts: set[str]) -> Ledger:
    return ledger.model_copy(update={"wishes": tuple(wish for wish in ledger.wishes if wish.host not in hosts)})


def _replaced(ledger: Ledger, wish: Wish) -> Ledger:
    wishes = tuple(wish if other.host == wish.host else other for other in ledger.wishes)
    return ledger.model_copy(update={"wishes": wishes})


def missing_ids(world: World) -> dict[str, str]:
    """Return the Nodes of all groups that have no ID yet, with the one that each is to get.

    The autoscaler knows a Node for a machine by nothing else.
    """
    cluster = world.cluster
    hosts = [host for group in groups(world) for host in (*cluster.working(group), *cluster.waiting(group))]
    found = {host.name: world.node(host.name) for host in hosts}
    return {
        name: f"{SCHEME}{world.cluster.name}/{name}"
        for name, node in sorted(found.items())
        if node is not None and not node.spec.provider_id
    }
