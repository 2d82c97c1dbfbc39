"""etcd through etcdctl on one of its members, over SSH, JSON out; no key of etcd ever leaves a member's host.

IDs are numbers in JSON and hexadecimal in arguments: etcdctl's own table pads them with blanks, and JSON tools that
take numbers for floats round them, so nothing but this module formats them.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways.ssh import HostKeyError, LostError, SudoError
from scaler.model.etcd import (
    Alarms,
    EndpointHash,
    EndpointHealth,
    EndpointStatus,
    EtcdState,
    HashKv,
    Member,
    Members,
    Range,
    SnapshotStatus,
    Status,
)
from scaler.plan.etcd_versions import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from scaler.gateways.clock import Clock
    from scaler.gateways.ssh import SshFiles
    from scaler.model.inventory import Host

PKI = "/etc/etcd/pki"
LOCAL = "https://127.0.0.1:2379"
_SECONDS = 6
_STATUS = TypeAdapter(tuple[EndpointStatus, ...])
_HEALTH = TypeAdapter(tuple[EndpointHealth, ...])
_HASHES = TypeAdapter(tuple[EndpointHash, ...])
# What etcd says where its authentication is on and who asks has no user, or not the right role.
_UNAUTHORIZED = ("permission denied", "user name is empty", "invalid auth token", "authentication failed")
_AUTH_HINT = (
    f"etcd has authentication on: its user that is called as the common name of {PKI}/server.crt needs the role root"
)
T = TypeVar("T")


class EtcdError(ScalerError):
    """etcd refused, in its own words, or did not answer."""

    kind = "etcd"


class SilentError(UnreachableError):
    """The host answers, its member of etcd does not."""

    kind = "etcd-silent"


class Etcd(Protocol):
    """What the steps know of etcd."""

    def members(self) -> tuple[Member, ...]:
        """Return the member list."""

    def status(self, members: Iterable[Member]) -> dict[int, Status]:
        """Return what each of ``members`` that answers says of itself."""

    def look(self) -> EtcdState:
        """Return members, their status and health, and alarms."""

    def hashes(self, members: Iterable[Member], revision: int) -> dict[int, HashKv]:
        """Return the digest of each member's data at ``revision``."""

    def add_learner(self, peer_url: str) -> Members:
        """Add a learner; return it and the list with it."""

    def promote(self, member: Member, leader: Member) -> None:
        """Make a learner a voter, asked of the leader."""

    def remove(self, member: Member) -> None:
        """Take a member out of the list."""

    def listed_by(self, member: Member) -> tuple[Member, ...]:
        """Return the member list as one member gives it."""

    def move_leader(self, leader: Member, to: Member) -> None:
        """Make another voter the leader, asked of the one that is it."""

    def delete(self, key: str) -> None:
        """Delete one key."""

    def read(self, prefix: str) -> dict[str, str]:
        """Return the values of all keys that begin with ``prefix``."""

    def without(self, hosts: Iterable[Host]) -> Etcd:
        """Return the same etcd, asked on none of ``hosts``."""

    def snapshot(self, target: Path) -> SnapshotStatus:
        """Save a snapshot of a voter, verified, to ``target`` on this machine."""


class Etcdctl:
    """etcdctl on the first of ``hosts`` that can be asked.

    Where one could be asked before and now none is reached, they are waited for, ``patience`` seconds. etcdctl itself
    gives up after ``seconds``.
    """

    def __init__(
        self,
        ssh: SshFiles,
        hosts: Sequence[Host],
        bin_dir: str,
        version: str,
        *,
        clock: Clock | None = None,
        patience: float = 0.0,
        seconds: int = _SECONDS,
    ) -> None:
        self._clock, self._patience = clock, patience
        self._answered = False
        self._ssh = ssh
        self._timeouts = (f"--command-timeout={seconds}s", "--dial-timeout=3s")
        self._hosts = tuple(hosts)
        self._bin = bin_dir
        self._version = version

    def members(self) -> tuple[Member, ...]:
        """Return the member list."""
        return self._told(Members, self._call(["member", "list"])).members

    def status(self, members: Iterable[Member]) -> dict[int, Status]:
        """Return what each of ``members`` that answers says of itself."""
        urls = [m.client_urls[0] for m in members if m.client_urls]
        if not urls:
            return {}
        # With one endpoint down etcdctl tells the others and ends with 1.
        told = self._checked(_STATUS, self._call(["endpoint", "status"], urls, partial=True))
        return {each.status.header.member_id: each.status for each in told}

    def look(self) -> EtcdState:
        """Return members, their status and health, and alarms."""
        members = self.members()
        voters = [m for m in members if not m.learner and m.client_urls]
        owner = {m.client_urls[0]: m.id for m in voters}
        health = self._checked(_HEALTH, self._call(["endpoint", "health"], list(owner), partial=True))
        status = self.status(members)
        healthy = frozenset(owner[h.endpoint] for h in health if h.health and owner[h.endpoint] in status)
        alarms = self._told(Alarms, self._call(["alarm", "list"])).alarms if healthy else ()
        why = {owner[h.endpoint]: h.error for h in health if not h.health}
        return EtcdState(members=members, status=status, healthy=healthy, why=why, alarms=alarms)

    def hashes(self, members: Iterable[Member], revision: int) -> dict[int, HashKv]:
        """Return the digest of each member's data at ``revision``."""
        urls = [m.client_urls[0] for m in members if m.client_urls]
        told = self._checked(_HASHES, self._call(["endpoint", "hashkv", f"--rev={revision}"], urls, partial=True))
        return {each.hashed.header.member_id: each.hashed for each in told}

    def add_learner(self, peer_url: str) -> Members:
        """Add a learner; return it and the list with it."""
        # The name is not sent with a learner's addition: etcd learns it from the member itself when it starts.
        return self._told(Members, self._change(["member", "add", "joining", "--learner", f"--peer-urls={peer_url}"]))

    def promote(self, member: Member, leader: Member) -> None:
        """Make a learner a voter; the leader is asked, since followers refuse it under auth (3.5, 3.6)."""
        self._change(["member", "promote", member.hex], leader.client_urls[:1])

    def remove(self, member: Member) -> None:
        """Take a member out of the list."""
        self._change(["member", "remove", member.hex])

    def listed_by(self, member: Member) -> tuple[Member, ...]:
        """Return the member list as one member gives it."""
        return self._told(Members, self._call(["member", "list"], member.client_urls[:1])).members

    def move_leader(self, leader: Member, to: Member) -> None:
        """Make another voter the leader; only the leader itself does that."""
        self._call(["move-leader", to.hex], leader.client_urls[:1])

    def delete(self, key: str) -> None:
        """Delete one key."""
        self._call(["del", key])

    def read(self, prefix: str) -> dict[str, str]:
        """Return the values of all keys that begin with ``prefix``."""
        told = self._told(Range, self._call(["get", prefix, "--prefix"]))
        return {each.key.decode(): each.value.decode() for each in told.pairs}

    def without(self, hosts: Iterable[Host]) -> Etcdctl:
        """Return the same etcd, asked on none of ``hosts``: a member that was removed answers nothing any more."""
        names = {host.name for host in hosts}
        rest = [host for host in self._hosts if host.name not in names]
        return Etcdctl(self._ssh, rest, self._bin, self._version, clock=self._clock, patience=self._patience)

    def snapshot(self, target: Path) -> SnapshotStatus:
        """Save a snapshot of a voter, verified there by its own digest, and copy it, digest compared, to ``target``."""
        host = self._first()
        remote = self._ssh.run(host, ["mktemp", "-d", "/var/tmp/scaler-snapshot.XXXXXX"]).out.strip()  # noqa: S108 - made by mktemp
        path = f"{remote}/etcd.db"
        try:
            self._on(host, ["snapshot", "save", path], [LOCAL], timeout=600)
            # etcdctl lost this verb in 3.6.
            tool = "etcdutl" if parsed(self._version) >= (3, 6, 0) else "etcdctl"
            said = self._ssh.run(host, [f"{self._bin}/{tool}", "snapshot", "status", path, "-w", "json"], timeout=600)
            if said.status != 0:
                raise EtcdError(f"{host.name}: the snapshot is not whole: {_words(said.err)}")
            self._ssh.fetch(host, path, target)
            return self._told(SnapshotStatus, said.out)
        finally:
            self._ssh.run(host, ["rm", "-rf", remote])

    def _first(self) -> Host:
        """Return the first host that can be asked; raises the last one's error where none can."""
        error: ScalerError = EtcdError("the inventory has no etcd member")
        for host in self._hosts:
            try:
                self._on(host, ["endpoint", "status"], [LOCAL])
            except ScalerError as e:
                error = e
            else:
                self._prefer(host)
                return host
        raise error

    def _change(self, argv: Sequence[str], endpoints: Sequence[str] = ()) -> str:
        """Run what must not run twice: LostError is raised where nobody knows whether it ran; the list tells."""
        return self._call(argv, endpoints, twice=False)

    def _call(
        self, argv: Sequence[str], endpoints: Sequence[str] = (), *, partial: bool = False, twice: bool = True
    ) -> str:
        """Run etcdctl on a member's host; only a host that cannot be asked at all is passed over."""
        deadline = None
        while True:
            try:
                return self._called(argv, endpoints, partial=partial, twice=twice)
            except (HostKeyError, SudoError, SilentError):
                raise
            except UnreachableError as e:
                if self._clock is None or not self._answered or (isinstance(e, LostError) and not twice):
                    raise
                now = self._clock.monotonic()
                deadline = now + self._patience if deadline is None else deadline
                if now >= deadline:
                    self._answered = False
                    raise
                self._clock.sleep(1.0)

    def _called(self, argv: Sequence[str], endpoints: Sequence[str], *, partial: bool, twice: bool) -> str:
        unreachable: ScalerError = EtcdError("the inventory has no etcd member")
        for host in self._hosts:
            try:
                said = self._on(host, argv, endpoints or [LOCAL], partial=partial)
            except LostError as e:
                if not twice:
                    raise
                unreachable = e
            except UnreachableError as e:
                # A host that answers tells more than one that does not.
                if isinstance(e, SilentError) or not isinstance(unreachable, SilentError):
                    unreachable = e
            else:
                self._answered = True
                self._prefer(host)
                return said
        raise unreachable

    def _prefer(self, host: Host) -> None:
        """Ask ``host`` first from now on, so that one that is away costs its timeout once."""
        self._hosts = (host, *(other for other in self._hosts if other is not host))

    def _on(
        self,
        host: Host,
        argv: Sequence[str],
        endpoints: Sequence[str],
        *,
        partial: bool = False,
        timeout: float = 30,
    ) -> str:
        tls = [f"--cacert={PKI}/ca.crt", f"--cert={PKI}/server.crt", f"--key={PKI}/server.key"]
        timeouts = [] if argv[0] == "snapshot" else self._timeouts
        command = [f"{self._bin}/etcdctl", *tls, f"--endpoints={','.join(endpoints)}", *timeouts, *argv, "-w", "json"]
        said = self._ssh.run(host, ["env", "ETCDCTL_API=3", *command], timeout=timeout)
        if said.status != 0 and not (partial and said.out.strip().startswith("[")):
            if "connection refused" in said.err and endpoints == [LOCAL]:
                raise SilentError(f"{host.name}: etcd does not answer there: {_words(said.err)}")
            words = _words(said.err)
            hint = _AUTH_HINT if any(refusal in words for refusal in _UNAUTHORIZED) else ""
            raise EtcdError(f"etcdctl {shlex.join(argv[:2])} on {host.name}: {words}", hint=hint)
        return said.out

    def _told(self, model: type[T], text: str) -> T:
        return self._checked(TypeAdapter(model), text)

    def _checked(self, adapter: TypeAdapter[T], text: str) -> T:
        try:
            return adapter.validate_json(text.strip() or "{}")
        except ValidationError as e:
            raise EtcdError(f"etcdctl answered what is not its JSON: {e.errors(include_url=False)[0]['msg']}") from e


def _words(err: str) -> str:
    """Return the last line of ``err`` that is no log line: etcdctl logs in JSON before it says what is wrong."""
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith("{")]
    return lines[-1].removeprefix("Error: ").strip() if lines else "no answer"
