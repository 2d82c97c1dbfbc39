"""Take the member out of etcd, asked through one that stays; the list decides, never the memory of what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.plan import quorum
from scaler.steps.voters import peer_url, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.etcd import EtcdState, Member
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# etcd refuses a change for 5 s after an unhealthy moment; every refusal is looked at, none is gone past.
SECONDS = 60.0


class MemberRemoved:
    """No member that stays has it in its list, and the healthy voters are a quorum."""

    title = "Take it out of etcd"
    commits = (
        "its member was taken out of etcd, which is never taken back by itself. "
        "Run the same command again: it looks at what is there and goes on from it"
    )

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "count once more, then member remove, asked of one that stays; every list that is left decides",
            "from here on nothing is undone",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Remove one after the other, each counted for itself."""
        # A removed member's own endpoint answers nothing, and a dead one's host costs its timeout.
        world.etcd = world.etcd.without(hosts)
        for host in hosts:
            self._remove(world, host)
            state = world.etcd.look()
            count = len(state.voters)
            world.note({"removed": host.name, "voters": count, "quorum": quorum.quorum(count)})
            world.say(f"{count} voters, quorum {quorum.quorum(count)}: {quorum.tolerance(count)} may fail")
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Nothing to take back while etcd has the member; raises where it is out, or nobody can tell."""
        state = world.etcd.look()
        if state.at(peer_url(host)) is None:
            raise StepError(f"the member of {host.name} is out of etcd; the removal can only be finished")

    def _remove(self, world: World, host: Host) -> None:
        last, url = "", peer_url(host)

        def gone() -> bool:
            nonlocal last
            try:
                state = world.etcd.look()
                member = state.at(url)
                if member is None:
                    last = _still_listed(world, state, url)
                    return not last
                _may_go(world, state, member, dead=host.name in world.plan.dead)
                world.note({"intent": "member remove", "id": member.hex, "peer_url": url})
                world.etcd.remove(member)
            except StepError:
                raise
            except ScalerError as e:
                # Refused for now, or an answer that was lost: the next look tells.
                last = e.message
            return False

        if not wait_until(world.clock, gone, timeout=SECONDS, every=1.0):
            raise StepError(f"the member at {url} is still in etcd's list after {SECONDS:g} s: {last}")


def _may_go(world: World, state: EtcdState, member: Member, *, dead: bool) -> None:
    if dead and member.id in state.healthy:
        raise StepError(f"{member.called} is not dead: its member of etcd is healthy again", hint="leave --dead out")
    told = quorum.refusal(seen(state, world.own_members), quorum.Request("remove", member.called))
    if told:
        raise StepError(f"{member.called} cannot leave etcd now: {told}")
    if state.leader is not None and state.leader.id == member.id:
        raise StepError(f"{member.called} leads etcd again", hint="run the same command again: it moves the leader")


def _still_listed(world: World, state: EtcdState, url: str) -> str:
    """Ask every healthy voter itself; return who still has the member in its list."""
    have = [m.called for m in state.voters if m.id in state.healthy and _lists(world, m, url)]
    return f"{', '.join(have)} still lists it" if have else ""


def _lists(world: World, asked: Member, url: str) -> bool:
    return any(url in m.peer_urls for m in world.etcd.listed_by(asked))


STEP = MemberRemoved()
