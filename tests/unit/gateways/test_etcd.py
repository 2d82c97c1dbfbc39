from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import IntegrityError, UnreachableError
from scaler.gateways.etcd import Etcdctl, EtcdError
from scaler.gateways.ssh import LostError, Said
from tests.fakes.clock import FakeClock
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host

# As etcd 3.4.23 prints them. The second ID is above 2^63, where a tool that takes it for a float or a signed number
# would name another member.
M1, M2 = 3801976844007123496, 16574562325612394345
MEMBERS = [
    {
        "ID": M1,
        "name": "m1",
        "peerURLs": ["https://10.213.0.4:2380"],
        "clientURLs": ["https://10.213.0.4:2379"],
    },
    {"ID": M2, "name": "m2", "peerURLs": ["https://10.213.0.5:2380"], "clientURLs": ["https://10.213.0.5:2379"]},
]
LEARNER = {"ID": 77, "name": "", "peerURLs": ["https://10.213.0.6:2380"], "isLearner": True}
HEADER = {"cluster_id": 1, "member_id": M1, "revision": 419, "raft_term": 2}
REFUSED = (
    '{"level":"warn","ts":"2026-03-01T02:00:00.000Z","caller":"clientv3/retry_interceptor.go:62",'
    '"msg":"retrying of unary invoker failed","error":"rpc error: code = DeadlineExceeded desc = latest balancer '
    'error: connection error: desc = \\"transport: Error while dialing dial tcp 127.0.0.1:2379: connect: connection '
    'refused\\""}\nError: context deadline exceeded\n'
)
UNHEALTHY = '{"level":"warn","msg":"retrying of unary invoker failed"}\nError: etcdserver: unhealthy cluster\n'


def status(identity: int, endpoint: str) -> dict[str, Any]:
    return {
        "Endpoint": endpoint,
        "Status": {
            "header": {**HEADER, "member_id": identity},
            "version": "3.4.23",
            "dbSize": 581632,
            "leader": M1,
            "raftIndex": 432,
            "raftTerm": 2,
            "raftAppliedIndex": 432,
            "dbSizeInUse": 581632,
        },
    }


class Shells:
    """Hosts with etcdctl, as it prints and ends; ``down`` are endpoints, ``away`` hosts that do not answer SSH."""

    def __init__(self) -> None:
        self.members: list[dict[str, Any]] = [*MEMBERS]
        self.down: set[str] = set()
        self.away: set[str] = set()
        self.silent: set[str] = set()
        self.refuses = ""
        self.promotes_at = ""
        self.alarms: dict[str, Any] = {}
        self.lines: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.damaged = False
        self.returns: dict[str, int] = {}
        self.loses: set[str] = set()
        self.version = "3.4.23"

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del stdin, timeout
        if self.returns.get(host.name):
            self.returns[host.name] -= 1
            raise UnreachableError(f"{host.name}: SSH does not answer: no answer")
        if host.name in self.away:
            raise UnreachableError(f"{host.name}: SSH does not answer: no answer")
        match list(argv):
            case ["mktemp", "-d", template]:
                return Said(0, template.replace("XXXXXX", "abcdef") + "\n", "")
            case ["rm", "-rf", path]:
                self.files = {name: data for name, data in self.files.items() if not name.startswith(path)}
                return Said(0, "", "")
            case ["env", "ETCDCTL_API=3", "/opt/bin/etcdctl", *rest]:
                return self._etcdctl(host, rest)
            case [tool, "snapshot", "status", path, "-w", "json"]:
                return self._snapshot_status(tool, path)
        raise AssertionError(f"no such program: {argv}")

    def fetch(self, host: Host, path: str, target: Path) -> None:
        del host
        if self.damaged:
            raise IntegrityError(f"{path} did not arrive whole")
        target.write_bytes(self.files[path])

    def _etcdctl(self, host: Host, words: list[str]) -> Said:
        assert words[-2:] == ["-w", "json"]
        for option in ("--cacert=/etc/etcd/pki/ca.crt", "--cert=/etc/etcd/pki/server.crt"):
            assert option in words
        endpoints = next(w for w in words if w.startswith("--endpoints=")).partition("=")[2].split(",")
        verb = [w for w in words if not w.startswith("--")][:-2]
        self.lines.append((host.name, " ".join(verb)))
        local = host.name in self.silent and endpoints == ["https://127.0.0.1:2379"]
        if local or (verb[0] != "endpoint" and self.down >= set(endpoints)):
            return Said(1, "", REFUSED)
        said: Said = getattr(self, f"_{verb[0]}")(verb[1:], endpoints)
        if host.name in self.loses:
            self.loses.discard(host.name)
            raise LostError(f"{host.name}: lost while running env")
        return said

    def _member(self, verb: list[str], endpoints: list[str]) -> Said:
        if self.promotes_at and verb[0] == "promote" and endpoints != [self.promotes_at]:
            # As a follower does where authentication is on (3.5 before 28, 3.6 before 6).
            return Said(1, "", "Error: etcdserver: user name is empty\n")
        if self.refuses and verb[0] != "list":
            return Said(1, "", self.refuses)
        told: dict[str, Any] = {"header": HEADER}
        if verb[0] == "add":
            self.members.append(LEARNER)
            told["member"] = LEARNER
        elif verb[0] == "promote":
            (found,) = (m for m in self.members if f"{m['ID']:x}" == verb[1])
            self.members[self.members.index(found)] = {k: v for k, v in found.items() if k != "isLearner"}
        elif verb[0] == "remove":
            (found,) = (m for m in self.members if f"{m['ID']:x}" == verb[1])
            self.members.remove(found)
        return Said(0, json.dumps({**told, "members": self.members}) + "\n", "")

    def _endpoint(self, verb: list[str], endpoints: list[str]) -> Said:
        ids = {m["clientURLs"][0]: m["ID"] for m in self.members if m.get("clientURLs")}
        ids["https://127.0.0.1:2379"] = M1
        up = [e for e in endpoints if e not in self.down]
        told: list[dict[str, Any]]
        if verb[0] == "health":
            well = {"health": True, "took": "3.7ms"}
            ill = {"health": False, "took": "5s", "error": "context deadline exceeded"}
            told = [{"endpoint": e, **(well if e in up else ill)} for e in endpoints]
        elif verb[0] == "hashkv":
            told = [
                {"Endpoint": e, "HashKV": {"header": {**HEADER, "member_id": ids[e]}, "hash": 7, "compact_revision": 3}}
                for e in up
            ]
        else:
            told = [status(ids[e], e) for e in up]
        lost = len(up) < len(endpoints)
        return Said(int(lost), json.dumps(told) if told else "null", REFUSED if lost else "")

    def _alarm(self, verb: list[str], endpoints: list[str]) -> Said:
        del verb, endpoints
        return Said(0, json.dumps(self.alarms), "")

    def _snapshot(self, verb: list[str], endpoints: list[str]) -> Said:
        assert endpoints == ["https://127.0.0.1:2379"]
        self.files[verb[1]] = b"data"
        return Said(0, "", '{"level":"info","msg":"saved"}\n')

    def _snapshot_status(self, tool: str, path: str) -> Said:
        new = tuple(map(int, self.version.split(".")[:2])) >= (3, 6)
        if tool.endswith("etcdctl") is new or path not in self.files:
            return Said(1, "", 'Error: unknown command "status" for "etcdctl snapshot"\n')
        number = int(hashlib.sha256(self.files[path]).hexdigest()[:8], 16)
        return Said(0, json.dumps({"hash": number, "revision": 419, "totalKey": 9, "totalSize": 581632}), "")


@pytest.fixture
def shells() -> Shells:
    return Shells()


@pytest.fixture
def etcd(shells: Shells) -> Etcdctl:
    return Etcdctl(shells, (host("m1", 4), host("m2", 5)), "/opt/bin", "3.4.23")


def test_the_members_are_told_with_their_whole_ids(etcd: Etcdctl) -> None:
    told = etcd.members()
    assert [m.id for m in told] == [M1, M2]
    assert told[1].hex == f"{M2:x}"
    assert told[0].peer_urls == ("https://10.213.0.4:2380",)


def test_a_look_tells_members_status_health_and_no_alarm(etcd: Etcdctl) -> None:
    seen = etcd.look()
    assert seen.healthy == {M1, M2}
    assert seen.status[M1].raft_index == 432
    assert seen.leader
    assert seen.leader.name == "m1"
    assert seen.alarms == ()


def test_a_voter_that_is_down_is_not_healthy_and_the_others_are_told(etcd: Etcdctl, shells: Shells) -> None:
    shells.down.add("https://10.213.0.5:2379")
    seen = etcd.look()
    assert seen.healthy == {M1}
    assert set(seen.status) == {M1}
    assert seen.why == {M2: "context deadline exceeded"}


@pytest.mark.parametrize(("number", "name"), [(1, "NOSPACE"), (2, "CORRUPT")])
def test_an_alarm_is_told_by_its_name(etcd: Etcdctl, shells: Shells, number: int, name: str) -> None:
    shells.alarms = {"header": HEADER, "alarms": [{"memberID": M2, "alarm": number}]}
    (alarm,) = etcd.look().alarms
    assert (alarm.member, alarm.called) == (M2, name)


def test_a_learner_that_has_not_started_has_no_status(etcd: Etcdctl, shells: Shells) -> None:
    shells.members.append(LEARNER)
    seen = etcd.look()
    assert [m.called for m in seen.learners] == ["the member at https://10.213.0.6:2380"]
    assert etcd.status(seen.learners) == {}


def test_members_are_added_promoted_and_removed_by_their_hexadecimal_ids(etcd: Etcdctl, shells: Shells) -> None:
    added = etcd.add_learner("https://10.213.0.6:2380")
    assert added.member
    assert added.member.learner
    etcd.promote(added.member, added.members[0])
    assert not etcd.members()[2].learner
    etcd.remove(etcd.members()[1])
    assert [m["ID"] for m in shells.members] == [M1, 77]
    assert ("m1", "member promote 4d") in shells.lines


def test_a_promotion_is_asked_of_the_leader_since_a_follower_refuses_it_under_authentication(
    etcd: Etcdctl, shells: Shells
) -> None:
    added = etcd.add_learner("https://10.213.0.6:2380")
    assert added.member
    shells.promotes_at = "https://10.213.0.5:2379"
    follower, leader = added.members[:2]
    with pytest.raises(EtcdError, match="user name is empty"):
        etcd.promote(added.member, follower)
    etcd.promote(added.member, leader)
    assert not etcd.members()[2].learner


@pytest.mark.parametrize("words", ["etcdserver: permission denied", "etcdserver: user name is empty"])
def test_an_etcd_that_does_not_let_scaler_in_is_told_with_what_it_needs(
    etcd: Etcdctl, shells: Shells, words: str
) -> None:
    shells.refuses = f"Error: {words}\n"
    with pytest.raises(EtcdError) as caught:
        etcd.add_learner("https://10.213.0.6:2380")
    assert caught.value.message == f"etcdctl member add on m1: {words}"
    assert "etcd has authentication on" in caught.value.hint
    assert "/etc/etcd/pki/server.crt needs the role root" in caught.value.hint


def test_a_refusal_is_told_in_etcds_words_without_its_log(etcd: Etcdctl, shells: Shells) -> None:
    shells.refuses = UNHEALTHY
    with pytest.raises(EtcdError) as caught:
        etcd.add_learner("https://10.213.0.6:2380")
    assert caught.value.message == "etcdctl member add on m1: etcdserver: unhealthy cluster"


def test_a_refusal_is_not_asked_again_elsewhere(etcd: Etcdctl, shells: Shells) -> None:
    shells.refuses = UNHEALTHY
    with pytest.raises(EtcdError):
        etcd.add_learner("https://10.213.0.6:2380")
    assert [name for name, line in shells.lines if line.startswith("member add")] == ["m1"]


@pytest.mark.parametrize("harm", ["away", "silent"])
def test_a_host_that_cannot_be_asked_is_passed_over(etcd: Etcdctl, shells: Shells, harm: str) -> None:
    getattr(shells, harm).add("m1")
    assert len(etcd.members()) == 2
    assert shells.lines[-1][0] == "m2"


@pytest.mark.parametrize("harm", ["away", "silent"])
def test_where_no_host_can_be_asked_the_last_reason_is_told(etcd: Etcdctl, shells: Shells, harm: str) -> None:
    getattr(shells, harm).update({"m1", "m2"})
    with pytest.raises(UnreachableError, match="m2: "):
        etcd.members()


def change(etcd: Etcdctl, verb: str) -> None:
    members = etcd.members()
    if verb == "add":
        etcd.add_learner("https://10.213.0.7:2380")
    elif verb == "promote":
        etcd.promote(members[-1], members[0])
    else:
        etcd.remove(members[-1])


@pytest.mark.parametrize("verb", ["add", "promote", "remove"])
def test_a_change_whose_answer_is_lost_is_asked_of_nobody_else(shells: Shells, verb: str) -> None:
    clock = FakeClock()
    etcd = Etcdctl(shells, [host("m1", 4), host("m2", 5)], "/opt/bin", "3.4.23", clock=clock, patience=60)
    shells.members.append(LEARNER)
    etcd.members()
    lines = shells.lines
    shells.run = losing(shells, f"member {verb}")  # type: ignore[method-assign]
    with pytest.raises(LostError):
        change(etcd, verb)
    assert [line for _, line in lines if line.startswith(f"member {verb}")] == [lines[-1][1]]
    assert clock.monotonic() == 0


def losing(shells: Shells, verb: str) -> Callable[..., Said]:
    """Return ``shells.run``, which loses the answer of ``verb`` after it was done."""
    run = shells.run

    def loses(host: Host, argv: Sequence[str], **more: Any) -> Said:
        if verb in " ".join(argv):
            shells.loses.add(host.name)
        return run(host, argv, **more)

    return loses


def test_a_read_whose_answer_is_lost_is_asked_elsewhere(etcd: Etcdctl, shells: Shells) -> None:
    shells.loses.add("m1")
    assert len(etcd.members()) == 2
    assert shells.lines[-1][0] == "m2"


def test_where_all_hosts_are_lost_at_once_they_are_waited_for(shells: Shells) -> None:
    clock = FakeClock()
    etcd = Etcdctl(shells, [host("m1", 4), host("m2", 5)], "/opt/bin", "3.4.23", clock=clock, patience=60)
    etcd.members()
    shells.returns = {"m1": 20, "m2": 30}
    etcd.add_learner("https://10.213.0.6:2380")
    assert clock.monotonic() == 20
    assert len([line for _, line in shells.lines if line.startswith("member add")]) == 1


@pytest.mark.parametrize("harm", ["away", "silent"])
def test_hosts_that_never_answered_and_members_that_do_not_run_are_not_waited_for(shells: Shells, harm: str) -> None:
    clock = FakeClock()
    etcd = Etcdctl(shells, [host("m1", 4)], "/opt/bin", "3.4.23", clock=clock, patience=60)
    if harm == "silent":
        etcd.members()
    getattr(shells, harm).add("m1")
    with pytest.raises(UnreachableError):
        etcd.members()
    assert clock.monotonic() == 0


def test_hosts_that_stay_away_are_given_up_once(shells: Shells) -> None:
    clock = FakeClock()
    etcd = Etcdctl(shells, [host("m1", 4)], "/opt/bin", "3.4.23", clock=clock, patience=60)
    etcd.members()
    shells.away.add("m1")
    for _ in range(2):
        with pytest.raises(UnreachableError):
            etcd.members()
    assert 60 <= clock.monotonic() < 62


def test_an_answer_that_is_no_json_of_etcds_is_told(etcd: Etcdctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shells, "_member", lambda *_: Said(0, "Welcome!", ""))
    with pytest.raises(EtcdError, match="etcdctl answered what is not its JSON"):
        etcd.members()


def test_the_digest_of_each_members_data_is_told(etcd: Etcdctl) -> None:
    told = etcd.hashes(etcd.members(), 419)
    assert {(each.hash, each.compact_revision) for each in told.values()} == {(7, 3)}
    assert set(told) == {M1, M2}


def test_a_snapshot_is_brought_here_and_nothing_stays_there(etcd: Etcdctl, shells: Shells, tmp_path: Path) -> None:
    told = etcd.snapshot(tmp_path / "etcd.db")
    assert told.revision == 419
    assert (tmp_path / "etcd.db").read_bytes() == b"data"
    assert shells.files == {}


def test_a_snapshot_that_did_not_arrive_whole_leaves_nothing_there(
    etcd: Etcdctl, shells: Shells, tmp_path: Path
) -> None:
    shells.damaged = True
    with pytest.raises(IntegrityError):
        etcd.snapshot(tmp_path / "etcd.db")
    assert shells.files == {}


def test_a_snapshot_is_taken_on_the_first_host_that_answers(etcd: Etcdctl, shells: Shells, tmp_path: Path) -> None:
    shells.silent.add("m1")
    etcd.snapshot(tmp_path / "etcd.db")
    assert [name for name, line in shells.lines if line.startswith("snapshot")] == ["m2"]


@pytest.mark.parametrize("version", ["3.4.23", "3.5.9", "3.6.0", "3.10.1"])
def test_a_snapshot_is_verified_by_the_tool_that_its_version_has(version: str, tmp_path: Path) -> None:
    shells = Shells()
    shells.version = version
    Etcdctl(shells, (host("m1", 4),), "/opt/bin", version).snapshot(tmp_path / "etcd.db")


def test_an_inventory_without_members_is_told() -> None:
    with pytest.raises(EtcdError, match="the inventory has no etcd member"):
        Etcdctl(Shells(), (), "/opt/bin", "3.4.23").members()
