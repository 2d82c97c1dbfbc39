from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scaler.gateways.etcd import EtcdError, SilentError
from scaler.model.etcd import Alarm, EtcdState, HashKv, Header, Member, Members, SnapshotStatus, Status
from scaler.plan.quorum import quorum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from scaler.model.inventory import Host


@dataclass
class FakeMember:
    """One member: in the list, and running or not."""

    id: int
    url: str
    name: str = ""
    learner: bool = False
    runs: bool = True
    applied: int = 100

    @property
    def told(self) -> Member:
        client = [self.url.replace(":2380", ":2379")] if self.name else []
        return Member.model_validate(
            {"ID": self.id, "name": self.name, "peerURLs": [self.url], "clientURLs": client, "isLearner": self.learner}
        )


@dataclass
class FakeEtcd:
    """Members that refuse as etcd 3.4 does: one learner, no promotion out of sync, no change without quorum.

    ``refusals`` are given to the next changes, one each; ``deaf`` is how many of the next looks are not answered;
    while it is ``leaderless`` all run and no read that needs a leader succeeds.
    ``changed``, ``refused`` and ``looked`` are called after a change, a learner that is out of sync, and a look.
    """

    all: list[FakeMember] = field(default_factory=list)
    index: int = 100
    revision: int = 50
    term: int = 2
    alarms: tuple[Alarm, ...] = ()
    lost_answers: int = 0
    refusals: list[EtcdError] = field(default_factory=list)
    deaf: int = 0
    leaderless: bool = False
    db_size: int = 1000
    digests: dict[int, HashKv] = field(default_factory=dict)
    snapshots: list[Path] = field(default_factory=list)
    changed: list[Callable[[], None]] = field(default_factory=list)
    refused: list[Callable[[], None]] = field(default_factory=list)
    looked: list[Callable[[], None]] = field(default_factory=list)
    history: list[tuple[int, int]] = field(default_factory=list)
    led_by: str = ""
    deleted: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, *names: str) -> FakeEtcd:
        """Return a cluster with running voters of these names, at 10.0.0.1 and on."""
        return cls([FakeMember(n + 1, f"https://10.0.0.{n + 1}:2380", name) for n, name in enumerate(names)])

    def start(self, name: str, address: str, *, catches_up: bool = True) -> None:
        """Start the member with that address: it tells its name and, unless told otherwise, catches up."""
        found = self.at(f"https://{address}:2380")
        assert found, f"{name} would end: no member has its peer URL"
        found.name, found.runs, found.applied = name, True, self.index if catches_up else 0
        self._remember()

    def stop(self, address: str) -> None:
        """End the member with that address, if there is one; it stays in the list."""
        found = self.at(f"https://{address}:2380")
        if found:
            found.runs = False
            self._remember()

    @property
    def voters(self) -> list[str]:
        return [m.name for m in self.all if not m.learner]

    @property
    def learners(self) -> list[str]:
        return [m.url for m in self.all if m.learner]

    @property
    def quorate_ever_since(self) -> bool:
        """Tell whether, after each change, the voters that ran were a quorum."""
        return all(healthy >= quorum(voters) for healthy, voters in self.history)

    def at(self, url: str) -> FakeMember | None:
        return next((m for m in self.all if m.url == url), None)

    def members(self) -> tuple[Member, ...]:
        if self.deaf:
            self.deaf -= 1
            raise EtcdError("context deadline exceeded")
        return tuple(m.told for m in self.all)

    def status(self, members: Iterable[Member]) -> dict[int, Status]:
        wanted = {m.id for m in members if m.client_urls}
        return {m.id: self._status(m) for m in self.all if m.id in wanted and m.runs}

    def look(self) -> EtcdState:
        voters = [m for m in self.all if not m.learner]
        up = {m.id for m in voters if m.runs and m.name} if self.quorate else set()
        seen = EtcdState(
            members=self.members(), status=self.status(self.members()), healthy=frozenset(up), alarms=self.alarms
        )
        for tell in self.looked:
            tell()
        return seen

    def hashes(self, members: Iterable[Member], revision: int) -> dict[int, HashKv]:
        del revision
        return {m.id: self.digests.get(m.id, HashKv(hash=7)) for m in members}

    def add_learner(self, peer_url: str) -> Members:
        self._change()
        if any(m.url == peer_url for m in self.all):
            raise EtcdError("etcdserver: Peer URLs already exists")
        if any(m.learner for m in self.all):
            raise EtcdError("etcdserver: too many learner members in cluster")
        if any(not m.runs for m in self.all if not m.learner):
            raise EtcdError("etcdserver: unhealthy cluster")
        new = FakeMember(max(m.id for m in self.all) + 1, peer_url, learner=True, runs=False, applied=0)
        self.all.append(new)
        self._answer()
        return Members(member=new.told, members=self.members())

    def promote(self, member: Member, leader: Member) -> None:
        del leader
        self._change()
        found = self._found(member)
        if not found.learner:
            raise EtcdError("etcdserver: can only promote a learner member")
        # The leader's own record: it knows nothing of whether the learner is alive.
        if found.applied < 0.9 * self.index:
            for tell in self.refused:
                tell()
            raise EtcdError("etcdserver: can only promote a learner member which is in sync with leader")
        found.learner = False
        self._answer()

    def remove(self, member: Member) -> None:
        self._change()
        self.all.remove(self._found(member))
        self._answer()

    def listed_by(self, member: Member) -> tuple[Member, ...]:
        found = next((m for m in self.all if m.id == member.id and m.runs), None)
        if found is None:
            # As one that was removed answers, or one that does not run.
            raise EtcdError("context deadline exceeded")
        return self.members()

    def move_leader(self, leader: Member, to: Member) -> None:
        self._change()
        if self._leader() != leader.id:
            raise EtcdError(f"no leader endpoint given at {list(leader.client_urls)}")
        found = self._found(to)
        if found.learner or not found.runs:
            raise EtcdError("etcdserver: bad leader transferee")
        self.led_by, self.term = found.name, self.term + 1
        self._answer()

    def delete(self, key: str) -> None:
        self._change()
        self.deleted.append(key)

    def read(self, prefix: str) -> dict[str, str]:
        self._answer()
        return {key: value for key, value in self.keys.items() if key.startswith(prefix)}

    def without(self, hosts: Iterable[Host]) -> FakeEtcd:
        self.left_out |= {host.name for host in hosts}
        return self

    def snapshot(self, target: Path) -> SnapshotStatus:
        target.write_bytes(b"snapshot")
        self.snapshots.append(target)
        return SnapshotStatus(hash=1, revision=self.revision)

    def _found(self, member: Member) -> FakeMember:
        found = next((m for m in self.all if m.id == member.id), None)
        if found is None:
            raise EtcdError("etcdserver: member not found")
        return found

    @property
    def quorate(self) -> bool:
        """Tell whether the voters that run are a quorum."""
        voters = [m for m in self.all if not m.learner]
        return not self.leaderless and sum(m.runs and bool(m.name) for m in voters) >= quorum(len(voters))

    def _change(self) -> None:
        if self.refusals:
            raise self.refusals.pop()
        if not self.quorate:
            raise EtcdError("context deadline exceeded")

    def _remember(self) -> None:
        voters = [m for m in self.all if not m.learner]
        self.history.append((sum(m.runs and bool(m.name) for m in voters), len(voters)))

    def _answer(self) -> None:
        """Lose the answer, though what was asked has been done; whoever listens may end the asker here."""
        self._remember()
        for tell in self.changed:
            tell()
        if self.lost_answers:
            self.lost_answers -= 1
            raise EtcdError("context deadline exceeded")

    def _leader(self) -> int:
        """The voter that was made leader, else the first that runs; 0 without quorum."""
        up = [m for m in self.all if not m.learner and m.runs] if self.quorate else []
        return next((m.id for m in up if m.name == self.led_by), up[0].id if up else 0)

    def own_status(self, member: FakeMember) -> Status:
        """Return what a member tells of itself, its alarms among its errors."""
        raised = tuple(f"memberID:{a.member} alarm:{a.called} " for a in self.alarms if a.member == member.id)
        return self._status(member).model_copy(update={"errors": raised})

    def _status(self, member: FakeMember) -> Status:
        leader = self._leader()
        header = Header(member_id=member.id, revision=self.revision, raft_term=self.term)
        return Status(
            header=header,
            version="3.4.23",
            dbSize=self.db_size,
            leader=leader,
            raftIndex=self.index,
            raftAppliedIndex=member.applied,
            isLearner=member.learner,
        )


class FakeMemberDoor(FakeEtcd):  # its other verbs are not asked
    """The cluster as the member at one address tells it: refused where it does not run, listed only with a quorum."""

    def __init__(self, etcd: FakeEtcd, address: str) -> None:
        self._etcd, self._url = etcd, f"https://{address}:2380"

    @property
    def _me(self) -> FakeMember:
        found = self._etcd.at(self._url)
        if found is None or not found.runs:
            raise SilentError(f"{self._url}: etcd does not answer there: connection refused")
        return found

    def members(self) -> tuple[Member, ...]:
        if self._me and not self._etcd.quorate:
            raise EtcdError("context deadline exceeded")
        return self._etcd.members()

    def status(self, members: Iterable[Member]) -> dict[int, Status]:
        assert [m.client_urls for m in members] == [("https://127.0.0.1:2379",)]
        return {self._me.id: self._etcd.own_status(self._me)}
