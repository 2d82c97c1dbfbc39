"""Make another voter the leader before the leader leaves: without it writes stand still for an election."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.steps.api_servers_held import api_servers_held
from scaler.steps.base import Irreversible
from scaler.steps.voters import peer_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.etcd import EtcdState, Member
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

SECONDS = 30.0


class LeaderMoved(Irreversible):
    """The leader is a healthy voter that stays."""

    title = "Move etcd's leader"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "if it leads: move-leader, asked of it, to the healthy voter that has applied most",
            "the API servers stand still meanwhile, for a quarter of a second, so that no write is dropped",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Move it, and look who leads."""
        for host in hosts:
            self._move(world, host)
        return {}

    def _move(self, world: World, host: Host) -> None:
        why = ""

        def stays() -> bool:
            nonlocal why
            try:
                state = world.etcd.look()
                own, leader = state.at(peer_url(host)), state.leader
                if own is None or (leader is not None and leader.id != own.id):
                    return True
                if leader is None:
                    why = "the voters do not agree on a leader"
                    return False
                heir = _heir(world, state, own)
                why = f"{heir.called} did not take over"
                world.say(f"{own.called} leads; {heir.called} takes over")
                world.note({"intent": "move leader", "from": own.hex, "to": heir.hex})
                with api_servers_held(world, world.plan.living(world.masters)):
                    world.etcd.move_leader(own, heir)
            except StepError:
                raise
            except ScalerError as e:
                # An answer that was lost: the next look tells.
                why = e.message
            return False

        if not wait_until(world.clock, stays, timeout=SECONDS, every=0.5):
            raise StepError(f"{host.name} still leads etcd, or nobody does, after {SECONDS:g} s: {why}")


def _heir(world: World, state: EtcdState, own: Member) -> Member:
    """Return the healthy voter with the highest applied index, one of those that stay rather than one that leaves."""
    leaving = {peer_url(host) for host in world.plan.leaving(world.plan.hosts)}
    fit = [m for m in state.voters if m.id != own.id and m.id in state.healthy]
    if not fit:
        raise StepError(f"{own.called} leads etcd and no other voter is healthy")
    return max(fit, key=lambda m: (not leaving & set(m.peer_urls), state.status[m.id].applied))


STEP = LeaderMoved()
