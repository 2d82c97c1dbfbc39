from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import paramiko
import pytest

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways import ssh
from scaler.gateways.ssh import (
    HostKeyError,
    LoginError,
    LostError,
    ParamikoSsh,
    PatientSsh,
    Said,
    SudoError,
    fingerprint,
    on_each,
    patiently,
)
from tests.fakes.clock import FakeClock
from tests.fakes.world import host, hosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host

KEY = paramiko.ECDSAKey.generate()
OTHER = paramiko.ECDSAKey.generate()
WELL = Said(0, "", "")


class Answers:
    """SSH that gives the answers it was told, one a call, the last one again and again."""

    def __init__(self, *answers: Said | ScalerError, answered: bool = True) -> None:
        self.answered: set[str] = {"n1"} if answered else set()
        self._answers = list(answers)
        self.asked = 0

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del host, argv, stdin, timeout
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ScalerError):
            raise answer
        return answer


def asked(answers: Answers, clock: FakeClock) -> Said:
    return patiently(answers, clock, host("n1", 11), ["true"], timeout=10, patience=45)


def test_a_host_that_answers_is_asked_once() -> None:
    answers, clock = Answers(WELL), FakeClock()
    assert asked(answers, clock) == WELL
    assert (answers.asked, clock.monotonic()) == (1, 0)


def test_a_host_that_is_away_for_a_while_is_waited_for() -> None:
    away = UnreachableError("n1: no answer")
    clock = FakeClock()
    assert asked(Answers(away, away, away, WELL), clock) == WELL
    assert clock.monotonic() == 3


def test_a_host_that_stays_away_is_given_up_with_its_own_error() -> None:
    clock = FakeClock()
    with pytest.raises(UnreachableError, match="n1: no answer"):
        asked(Answers(UnreachableError("n1: no answer")), clock)
    assert 45 <= clock.monotonic() < 47


@pytest.mark.parametrize("error", [HostKeyError("n1: the host's key changed"), SudoError("n1: no root")])
def test_a_changed_key_or_a_lost_sudo_is_not_waited_for(error: ScalerError) -> None:
    answers, clock = Answers(error), FakeClock()
    with pytest.raises(type(error)):
        asked(answers, clock)
    assert (answers.asked, clock.monotonic()) == (1, 0)


def test_patience_begins_with_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, clock = Answers(LostError("n1: lost"), UnreachableError("n1: no answer"), WELL), FakeClock()
    run = answers.run

    def slow(*args: Any, **more: Any) -> Said:
        clock.sleep(100 if answers.asked == 0 else 0)
        return run(*args, **more)

    monkeypatch.setattr(answers, "run", slow)
    assert asked(answers, clock) == WELL


def patient(answers: Answers, clock: FakeClock) -> PatientSsh:
    return PatientSsh(answers, clock, 60)


@pytest.mark.parametrize("error", [LostError("n1: lost while running cat"), UnreachableError("n1: no answer")])
def test_what_may_run_twice_is_asked_again_of_a_host_that_answered_before(error: ScalerError) -> None:
    answers, clock = Answers(error, WELL), FakeClock()
    assert patient(answers, clock).run(host("n1", 11), ["cat", "x"]) == WELL
    assert (answers.asked, clock.monotonic()) == (2, 1)


def test_a_host_that_never_answered_is_refused_at_once() -> None:
    answers, clock = Answers(UnreachableError("n1: no answer"), answered=False), FakeClock()
    with pytest.raises(UnreachableError):
        patient(answers, clock).run(host("n1", 11), ["true"])
    assert (answers.asked, clock.monotonic()) == (1, 0)


def test_a_host_that_was_given_up_is_not_waited_for_again() -> None:
    answers, clock = Answers(UnreachableError("n1: no answer")), FakeClock()
    ssh = patient(answers, clock)
    for _ in range(2):
        with pytest.raises(UnreachableError):
            ssh.run(host("n1", 11), ["true"])
    assert 60 <= clock.monotonic() < 62


def test_a_command_that_fails_is_an_answer() -> None:
    assert asked(Answers(Said(3, "", "no")), FakeClock()) == Said(3, "", "no")


def test_an_unknown_key_is_refused_with_its_fingerprint_and_how_to_trust_it(tmp_path: Path) -> None:
    client = ssh._new_client(tmp_path / "known_hosts")
    with pytest.raises(HostKeyError) as refused:
        client._policy.missing_host_key(client, "10.0.0.11", KEY)  # type: ignore[attr-defined]
    assert fingerprint(KEY) in refused.value.message
    assert f"scaler trust 10.0.0.11 --fingerprint {fingerprint(KEY)}" in refused.value.hint
    assert not (tmp_path / "known_hosts").exists()


def test_a_fingerprint_is_written_as_ssh_keygen_writes_it() -> None:
    assert fingerprint(KEY) == KEY.fingerprint
    assert fingerprint(KEY).startswith("SHA256:")
    assert fingerprint(KEY) != fingerprint(OTHER)


def test_keys_come_from_the_inventorys_known_hosts_alone(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"10.0.0.11 {KEY.get_name()} {KEY.get_base64()}\n", encoding="utf-8")
    client = ssh._new_client(file)
    assert list(client.get_host_keys()) == ["10.0.0.11"]
    assert list(client._system_host_keys) == []  # type: ignore[attr-defined]


class Failing(paramiko.SSHClient):
    """A client that cannot connect, for the reason it is told."""

    error: Exception

    def connect(self, *_: object, **__: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (paramiko.BadHostKeyException("n1", KEY, OTHER), HostKeyError, "the host's key changed: it shows"),
        (paramiko.AuthenticationException("no"), LoginError, "the key is not accepted"),
        (ConnectionRefusedError(111, "Connection refused"), UnreachableError, "Connection refused"),
        (TimeoutError(), UnreachableError, "SSH does not answer: no answer"),
        (paramiko.SSHException("Error reading SSH protocol banner"), UnreachableError, "SSH protocol banner"),
        (EOFError(), UnreachableError, "SSH does not answer: EOFError"),
        (HostKeyError("n1: unknown host key"), HostKeyError, "unknown host key"),
    ],
)
def test_a_connection_that_fails_is_told_by_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[ScalerError], told: str
) -> None:
    Failing.error = error
    monkeypatch.setattr(ssh, "_new_client", lambda _: Failing())
    with pytest.raises(UnreachableError, match="n1") as failed:
        ParamikoSsh(tmp_path / "known_hosts").run(host("n1", 11), ["true"])
    assert type(failed.value) is kind
    assert told in failed.value.message


@pytest.mark.parametrize(
    "error",
    [
        HostKeyError("10.0.0.9: unknown host key"),
        paramiko.BadHostKeyException("10.0.0.9", KEY, OTHER),
        paramiko.AuthenticationException("no"),
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
        paramiko.SSHException("no banner"),
        EOFError(),
    ],
)
def test_a_jump_host_that_fails_is_an_error_of_the_hosts_and_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Failing.error = error
    monkeypatch.setattr(ssh, "_new_client", lambda _: Failing())
    with pytest.raises(UnreachableError):
        ParamikoSsh(tmp_path / "known_hosts").run(host("n1", 11, jump="10.0.0.9:22"), ["true"])


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_speaks_no_ssh_shows_no_key(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", 0.2)
    with pytest.raises(UnreachableError, match="shows no SSH host key"):
        ssh.host_key("127.0.0.1", silent_port)


def test_a_closed_port_shows_no_key(silent_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    assert closed != silent_port
    with pytest.raises(UnreachableError, match="refused"):
        ssh.host_key("127.0.0.1", closed)


def test_work_is_done_for_every_host_and_an_error_is_its_hosts_own_result() -> None:
    error = UnreachableError("n2: no answer")

    def work(each: Host) -> str:
        if each.name == "n2":
            raise error
        return each.address

    assert on_each(hosts("n1", "n2", "n3"), work) == {"n1": "10.0.0.11", "n2": error, "n3": "10.0.0.13"}


def test_work_for_no_hosts_is_done() -> None:
    assert on_each([], lambda each: each.name) == {}


def test_a_defect_is_nobodys_result() -> None:
    def work(_: Host) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        on_each(hosts("n1"), work)
