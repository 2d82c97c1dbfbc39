"""Arithmetic of quorum: which change of members is safe, and the refusal with its figures where it is not.

The invariant: a change is allowed only where, at every instant of it and after it, the healthy voters are a quorum of
the voters. New members come as learners, which never count (etcd's own guard does not cover the step from one to two,
reliability.md R0.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection


class Seen(NamedTuple):
    """A member as one look saw it; ``ours`` says that a run of scaler's added it."""

    name: str
    voter: bool = True
    healthy: bool = True
    ours: bool = False


class Request(NamedTuple):
    """A change of one member: ``name`` is the new one of an add, otherwise the one that leaves."""

    verb: Literal["add", "remove", "replace"]
    name: str


def quorum(voters: int) -> int:
    """Return how many of ``voters`` must be healthy for a write."""
    return voters // 2 + 1


def tolerance(voters: int) -> int:
    """Return how many of ``voters`` may fail while writes go on."""
    return voters - quorum(voters)


def refusal(members: Collection[Seen], request: Request) -> str:
    """Return why ``request`` is unsafe among ``members``, with the arithmetic; empty where it is safe."""
    voters = [m for m in members if m.voter]
    healthy = [m for m in voters if m.healthy]
    foreign = [m.name for m in members if not m.voter and not m.ours]
    told = lost(members)
    if told:
        return told
    if foreign:
        return f"a learner that no run of scaler's added is there: {', '.join(foreign)}; etcd takes one at a time"
    if request.verb == "add":
        return _add(voters, healthy)
    if request.name not in {m.name for m in voters}:
        return f"{request.name} is not a voter"
    after = [m for m in voters if m.name != request.name]
    if request.verb == "replace":
        return _replace(request.name, healthy, after)
    return _remove(request.name, healthy, after)


def lost(members: Collection[Seen]) -> str:
    """Return that the healthy voters are no quorum, with the arithmetic; empty where they are one."""
    voters = [m for m in members if m.voter]
    healthy = [m for m in voters if m.healthy]
    if voters and len(healthy) >= quorum(len(voters)):
        return ""
    return f"{_count(healthy, voters)}: no quorum, nothing can be changed"


def leaving(members: Collection[Seen], names: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Return ``names`` in the order in which they leave, the broken ones first, and why one of them may not."""
    left = list(members)
    broken = {m.name for m in members if not m.healthy}
    order = sorted(names, key=lambda name: name not in broken)
    for name in order:
        told = refusal(left, Request("remove", name))
        if told:
            return tuple(order), told
        left = [m for m in left if m.name != name]
    return tuple(order), ""


def even(final: int) -> str:
    """Return why ``final`` is a poor number of voters; empty where it is odd."""
    if final % 2:
        return ""
    more = final - 1
    return (
        f"{final} voters (quorum {quorum(final)}) stand {tolerance(final)} failures, no more than {more} (quorum "
        f"{quorum(more)}) do, and one more can fail"
    )


def _add(voters: list[Seen], healthy: list[Seen]) -> str:
    if len(healthy) == len(voters):
        return ""
    down = ", ".join(m.name for m in voters if not m.healthy)
    new = len(voters) + 1
    return (
        f"{_count(healthy, voters)} ({down} is not): with one more it would be {new} voters, quorum {quorum(new)}, "
        f"and {new - len(healthy) - 1} already down"
    )


def _remove(name: str, healthy: list[Seen], after: list[Seen]) -> str:
    if not after:
        return f"{name} is the last voter"
    well = [m for m in after if m.healthy]
    if len(well) < quorum(len(after)):
        return f"without {name}, {_count(well, after)}: no quorum"
    broken = [m.name for m in after if not m.healthy]
    if broken and any(m.name == name for m in healthy):
        return f"{', '.join(broken)} is down: that one goes first"
    return ""


def _replace(name: str, healthy: list[Seen], after: list[Seen]) -> str:
    if any(m.name == name for m in healthy):
        return f"{name} is healthy; a replacement is for a voter that is dead"
    return _remove(name, healthy, after)


def _count(healthy: list[Seen], voters: list[Seen]) -> str:
    return f"{len(healthy)} of {len(voters)} voters are healthy, quorum is {quorum(len(voters))}"
