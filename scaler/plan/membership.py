"""The next move that makes a host a voter, told from what the member list says now, whatever happened before.

A run that was killed anywhere looks again and goes on: the list is the truth, never a memory of what was sent.

    absent → ADD (learner) → START → WAIT → PROMOTE → DONE
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaler.model.etcd import Member


class Move(Enum):
    """What comes next for one new member."""

    ADD = "add it as a learner"
    START = "start it"
    WAIT = "let it catch up"
    PROMOTE = "promote it"
    DONE = "it votes"
    STUCK = "a voter that has never started: start it, or take it out by hand"


def move(member: Member | None, *, answers: bool, caught_up: bool) -> Move:
    """Return the next move for ``member``, the one with the host's own peer URL, None where there is none.

    ``answers`` tells whether its own status answers: an old etcd promotes a learner that never ran (fixed in 3.4.24
    and 3.5.7), so the name alone is not believed.
    """
    if member is None:
        return Move.ADD
    if not member.learner:
        return Move.DONE if member.name else Move.STUCK
    if not member.name or not answers:
        return Move.START
    return Move.PROMOTE if caught_up else Move.WAIT


def initial_cluster(members: tuple[Member, ...], name: str, peer_url: str) -> str:
    """Return etcd's initial-cluster for the new member out of the answer to ``member add``.

    Every URL of every member that has started, and the new one under its own name (which the list does not have yet).
    """
    others = [f"{m.name}={url}" for m in members if m.name and peer_url not in m.peer_urls for url in m.peer_urls]
    return ",".join([*others, f"{name}={peer_url}"])
