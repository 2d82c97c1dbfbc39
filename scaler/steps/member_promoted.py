"""Promote the learner: from here on it counts, and nothing of it is taken back by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.plan import quorum
from scaler.steps.base import Irreversible
from scaler.steps.voters import peer_url, steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.etcd import EtcdState, Member
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PROMOTE_SECONDS = 60.0
# The next change of members holds for as long as etcd wants; here only that all agree is looked at.
HOLD_SECONDS = 2.0


class MemberPromoted(Irreversible):
    """It votes, as its own member and every voter says."""

    title = "Promote it"
    commits = (
        "it votes in etcd, and a voter is never taken out by itself; its files and its member stay. "
        "Run the same command again: it looks at what is there and goes on from it"
    )

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["member promote, asked of the leader; after any error the list decides. From here on nothing is undone"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Promote, look, and let etcd settle."""
        for host in hosts:
            self._promote(world, peer_url(host))
            state = steady(world.etcd, world.clock, world.own_members, hold=HOLD_SECONDS)
            count = len(state.voters)
            world.note({"voter": host.name, "voters": count, "quorum": quorum.quorum(count)})
            world.say(f"{count} voters, quorum {quorum.quorum(count)}: {quorum.tolerance(count)} may fail")
        return {}

    def _promote(self, world: World, url: str) -> None:
        last = ""

        def votes() -> bool:
            nonlocal last
            try:
                state = world.etcd.look()
                member = _found(state, url)
                if not member.learner:
                    return not any(s.learner for s in world.etcd.status([member]).values())
                leader = _may_be_promoted(state, member)
                world.note({"intent": "member promote", "member": member.hex})
                world.etcd.promote(member, leader)
            except StepError:
                raise
            except ScalerError as e:
                # Not in sync yet, or an answer that was lost: the next look tells.
                last = e.message
            return False

        if not wait_until(world.clock, votes, timeout=PROMOTE_SECONDS, every=1.0):
            raise StepError(f"etcd does not promote the learner at {url}: {last}")


def _found(state: EtcdState, url: str) -> Member:
    member = state.at(url)
    if member is None:
        raise StepError(f"the learner at {url} is no longer in etcd's list")
    return member


def _may_be_promoted(state: EtcdState, learner: Member) -> Member:
    """Return the leader to ask; etcd itself would promote a learner that has died since it caught up."""
    if state.leader is None:
        raise ScalerError("etcd has no leader now")
    if learner.id not in state.status:
        raise ScalerError("the learner does not answer")
    return state.leader


STEP = MemberPromoted()
