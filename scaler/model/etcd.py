"""etcd as etcdctl's JSON tells it. IDs are unsigned 64-bit numbers there, and hexadecimal on its command line."""

from __future__ import annotations

from pydantic import Base64Bytes, Field

from scaler.model.state import Told


class Member(Told):
    """A member of the list; one that was added and has never started has no name."""

    id: int = Field(alias="ID")
    name: str = ""
    peer_urls: tuple[str, ...] = Field(default=(), alias="peerURLs")
    client_urls: tuple[str, ...] = Field(default=(), alias="clientURLs")
    learner: bool = Field(default=False, alias="isLearner")

    @property
    def hex(self) -> str:
        """The ID as etcdctl's arguments want it."""
        return f"{self.id:x}"

    @property
    def called(self) -> str:
        """The member's name, or where it would be while it has none."""
        return self.name or f"the member at {', '.join(self.peer_urls)}"


class Members(Told):
    """The answer of ``member list`` and of ``member add``, whose new member comes first."""

    member: Member | None = None
    members: tuple[Member, ...] = ()


class Header(Told):
    """The header of an answer: which member gave it, and at which revision."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


class Status(Told):
    """What one member says of itself; sizes in bytes. Its alarms are among its errors; only 3.6 tells its quota."""

    header: Header = Header()
    version: str = ""
    db_size: int = Field(default=0, alias="dbSize")
    leader: int = 0
    raft_index: int = Field(default=0, alias="raftIndex")
    applied: int = Field(default=0, alias="raftAppliedIndex")
    learner: bool = Field(default=False, alias="isLearner")
    errors: tuple[str, ...] = ()
    quota: int = Field(default=0, alias="dbSizeQuota")


class EndpointStatus(Told):
    """One line of ``endpoint status``."""

    endpoint: str = Field(alias="Endpoint")
    status: Status = Field(alias="Status")


class EndpointHealth(Told):
    """One line of ``endpoint health``: whether a linearizable read succeeded there."""

    endpoint: str
    health: bool
    error: str = ""


class HashKv(Told):
    """The digest of a member's data at one revision."""

    header: Header = Header()
    hash: int = 0
    compact_revision: int = 0


class EndpointHash(Told):
    """One line of ``endpoint hashkv``."""

    endpoint: str = Field(alias="Endpoint")
    hashed: HashKv = Field(alias="HashKV")


class Alarm(Told):
    """An alarm a member has raised: 1 is NOSPACE, 2 is CORRUPT."""

    member: int = Field(default=0, alias="memberID")
    alarm: int = 0

    @property
    def called(self) -> str:
        """The alarm's name."""
        return {1: "NOSPACE", 2: "CORRUPT"}.get(self.alarm, str(self.alarm))


class Alarms(Told):
    """The answer of ``alarm list``."""

    alarms: tuple[Alarm, ...] = ()


class SnapshotStatus(Told):
    """What a snapshot file holds."""

    hash: int
    revision: int
    total_key: int = Field(default=0, alias="totalKey")
    total_size: int = Field(default=0, alias="totalSize")


class EtcdState(Told):
    """One look at a cluster of etcd: its members, what each says, and which answer linearizable reads."""

    members: tuple[Member, ...]
    status: dict[int, Status] = Field(default={})
    healthy: frozenset[int] = frozenset()
    why: dict[int, str] = Field(default={})
    alarms: tuple[Alarm, ...] = ()

    @property
    def voters(self) -> tuple[Member, ...]:
        """The members that count for quorum."""
        return tuple(m for m in self.members if not m.learner)

    @property
    def learners(self) -> tuple[Member, ...]:
        """The members that do not."""
        return tuple(m for m in self.members if m.learner)

    @property
    def leader(self) -> Member | None:
        """The member that all who answer call their leader, None where there is none or they disagree."""
        named = {self.status[m.id].leader for m in self.voters if m.id in self.status}
        return next((m for m in self.members if named == {m.id}), None)

    def at(self, peer_url: str) -> Member | None:
        """Return the member with exactly this peer URL."""
        return next((m for m in self.members if peer_url in m.peer_urls), None)


class KeyValue(Told):
    """A key and its value, base64 in etcdctl's JSON."""

    key: Base64Bytes
    value: Base64Bytes = b""


class Range(Told):
    """The answer of ``get --prefix``."""

    pairs: tuple[KeyValue, ...] = Field(default=(), alias="kvs")
