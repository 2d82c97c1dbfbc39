"""Wait until the learner has what the leader has, by their raft indexes; one that stands still is given up.

etcd answers nobody before it has what the leader had when it started. Until then what it writes to its disk tells
whether it gets on: a member that only hears the leader's heartbeats writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.steps.base import Irreversible
from scaler.steps.first_start import limited
from scaler.steps.placing import ETCD
from scaler.steps.unit_log import log
from scaler.steps.voters import peer_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.etcd import EtcdState
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# etcd's own check takes nine tenths for "in sync", which at ten million entries is a million behind.
CLOSE = 1000
SAMPLES = 3
EVERY = 0.5
# How much a learner may store before it answers: etcd sends again what was not acknowledged in time, but not for ever.
TIMES, MORE_BYTES = 20, 1 << 30
# Bytes that the unit's main process has sent to storage, by proc(5); nothing where it does not run.
WRITTEN = f"sed -n 's/^write_bytes: //p' /proc/$(systemctl show --property=MainPID --value {ETCD})/io"


class LearnerCaughtUp(Irreversible):
    """In three samples on end the learner was at most a thousand entries, or a second of writes, behind the leader."""

    title = "Let the learner catch up"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        stall = f"{settings.etcd_stall_seconds} s"
        return [
            "until the learner answers, look that it stores what it gets",
            f"compare raft indexes with the leader's, three samples; undone after {stall} without progress",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Sample until it is close, for as long as it makes progress; a new leader is noted and compared with."""
        for host in hosts:
            _Sync(world, host).wait()
            limited(world, host)
        return {}


class _Sync:
    """One learner's way to the leader's index."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host
        self._url = peer_url(host)
        self._progress = world.clock.monotonic()
        self._written = 0
        self._applied = -1
        self._leader_index = -1
        self._term = -1
        self._close = 0

    def wait(self) -> None:
        stall = self._world.cluster.settings.etcd_stall_seconds
        why = "it has not been asked"
        while self._close < SAMPLES:
            try:
                why = self._sample(self._world.etcd.look())
            except StepError:
                raise
            except ScalerError as e:
                self._close, why = 0, e.message
            if self._world.clock.monotonic() - self._progress > stall:
                raise StepError(
                    f"{self._host.name}: its learner makes no progress for {stall} s: {why}"
                    + log(self._world, self._host, ETCD)
                )
            self._world.clock.sleep(EVERY)

    def _sample(self, state: EtcdState) -> str:
        """Take in one look; return what stands between the learner and the leader."""
        member = state.at(self._url)
        if member is None:
            raise StepError(f"{self._host.name}: its learner is no longer in etcd's list")
        if not member.learner:
            self._close = SAMPLES
            return ""
        leader, own = state.leader, state.status.get(member.id)
        if leader is None or own is None:
            self._close = 0
            return "etcd has no leader" if leader is None else self._silent(state.status[leader.id].db_size)
        theirs = state.status[leader.id]
        if self._term not in {-1, theirs.header.raft_term}:
            self._world.say(f"etcd has a new leader, {leader.called} (term {theirs.header.raft_term})")
            self._world.note({"leader": leader.hex, "term": theirs.header.raft_term})
        self._term = theirs.header.raft_term
        if own.applied > self._applied:
            self._applied, self._progress = own.applied, self._world.clock.monotonic()
        behind = theirs.raft_index - own.applied
        second = (theirs.raft_index - self._leader_index) / EVERY if self._leader_index >= 0 else 0
        self._leader_index = theirs.raft_index
        near = behind <= max(CLOSE, second)
        self._close = self._close + 1 if near else 0
        self._world.say(f"{self._host.name}: {max(behind, 0)} entries behind {leader.called}")
        return f"{behind} entries behind the leader"

    def _silent(self, size: int) -> str:
        """Look whether a learner that does not answer yet stores what it gets of a database of ``size`` bytes."""
        written = int(self._world.ssh.run(self._host, ["sh", "-c", WRITTEN], timeout=15).out.strip() or 0)
        # More than ever: one that dies and begins anew, again and again, gets nowhere.
        if self._written < written <= TIMES * size + MORE_BYTES:
            self._written, self._progress = written, self._world.clock.monotonic()
            self._world.say(f"{self._host.name}: etcd has stored {written / 1e6:.0f} MB")
        return "the learner does not answer"


STEP = LearnerCaughtUp()
