"""A command is told its input, a file is fetched whole or not at all; the connection is a shell on this machine."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.errors import IntegrityError, ScalerError, UnreachableError
from scaler.gateways.ssh import LostError, ParamikoSsh, _NoChannelError
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import paramiko

M1 = host("m1", 1)


class Channel:
    """One end of a command: its bytes, its status."""

    def __init__(self, data: bytes, status: int, dies: int | None = None) -> None:
        self._data, self._status, self._dies = io.BytesIO(data), status, dies
        self.channel = self

    def read(self, size: int = -1) -> bytes:
        if self._dies is not None and self._data.tell() >= self._dies:
            raise TimeoutError
        return self._data.read(size if self._dies is None else self._dies)

    def recv_exit_status(self) -> int:
        return self._status

    def write(self, text: str) -> None:
        if text and self._status:
            raise OSError("Socket is closed")

    def shutdown_write(self) -> None:
        pass


class Shell:
    """What paramiko's client is to scaler; ``between`` happens before each command, ``dies`` cuts what cat says."""

    def __init__(self) -> None:
        self.between: list[Callable[[], None]] = []
        self.dies: int | None = None
        self.active = True
        self.lines: list[str] = []
        self.dead = 0

    def get_transport(self) -> Shell:
        return self

    def is_active(self) -> bool:
        return self.active

    def close(self) -> None:
        self.active = False

    def exec_command(self, line: str, timeout: float) -> tuple[Channel, Channel, Channel]:
        del timeout
        if self.dead:
            self.dead -= 1
            raise _NoChannelError("Timeout opening channel.")
        self.lines.append(line)
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
        for act in self.between:
            act()
        dies = self.dies if " cat " in f" {line}" else None
        status = done.returncode
        return Channel(b"", status), Channel(done.stdout, status, dies), Channel(done.stderr, status)


@pytest.fixture
def shell() -> Shell:
    return Shell()


@pytest.fixture
def ssh(tmp_path: Path, shell: Shell) -> ParamikoSsh:
    made = ParamikoSsh(tmp_path / "known_hosts")
    made._clients["m1"] = cast("paramiko.SSHClient", shell)
    return made


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote" / "etcd's.db"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 20_000)
    return path


def here(directory: Path) -> list[Any]:
    return sorted(path.name for path in directory.iterdir() if path.name != "remote")


def test_a_command_that_ends_before_it_read_its_input_tells_why(ssh: ParamikoSsh, shell: Shell) -> None:
    said = ssh.run(M1, ["/nonexistent/python3", "-"], stdin="a script")
    assert said.status == 127
    assert "not found" in said.err
    assert shell.active


def test_a_connection_on_which_no_command_begins_is_made_anew_once(
    ssh: ParamikoSsh, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Shell()
    monkeypatch.setattr(ssh, "_connect", lambda _: other)
    shell.dead = 1
    assert ssh.run(M1, ["echo", "well"]).out == "well\n"
    assert (shell.active, shell.lines, len(other.lines)) == (False, [], 1)
    other.dead = 2
    with pytest.raises(UnreachableError, match="m1: no command begins there: Timeout opening channel") as refused:
        ssh.run(M1, ["echo", "well"])
    assert not isinstance(refused.value, LostError)


def test_an_answer_that_is_lost_after_the_command_began_is_told_apart(ssh: ParamikoSsh, shell: Shell) -> None:
    shell.dies = 0
    with pytest.raises(LostError, match="m1: lost while running cat"):
        ssh.run(M1, ["cat", "/dev/null"])
    assert len(shell.lines) == 1


def test_a_command_whose_status_never_came_may_have_run(
    ssh: ParamikoSsh, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Channel, "recv_exit_status", lambda _: -1)
    with pytest.raises(LostError, match="m1: lost while running echo"):
        ssh.run(M1, ["echo", "well"])
    assert len(shell.lines) == 1


def test_a_file_arrives_whole_and_is_the_operators_alone(ssh: ParamikoSsh, remote: Path, tmp_path: Path) -> None:
    ssh.fetch(M1, str(remote), tmp_path / "etcd.db")
    assert (tmp_path / "etcd.db").read_bytes() == remote.read_bytes()
    assert (tmp_path / "etcd.db").stat().st_mode & 0o777 == 0o600
    assert here(tmp_path) == ["etcd.db"]


def test_a_user_who_is_not_root_reads_by_sudo(tmp_path: Path, shell: Shell, remote: Path) -> None:
    ssh = ParamikoSsh(tmp_path / "known_hosts")
    ssh._clients["m1"] = cast("paramiko.SSHClient", shell)
    with pytest.raises(ScalerError):
        ssh.fetch(host("m1", 1, user="ops"), str(remote) + ".no", tmp_path / "etcd.db")
    assert shell.lines[0].startswith("sudo -n -- sha256sum")


def test_a_file_that_is_not_there_is_told_in_the_hosts_words(ssh: ParamikoSsh, tmp_path: Path) -> None:
    with pytest.raises(ScalerError, match=r"m1: /no/such\.db cannot be read: .*No such file"):
        ssh.fetch(M1, "/no/such.db", tmp_path / "etcd.db")
    assert here(tmp_path) == []


def test_a_file_that_changed_on_the_way_is_refused_and_the_old_one_stays(
    ssh: ParamikoSsh, shell: Shell, remote: Path, tmp_path: Path
) -> None:
    (tmp_path / "etcd.db").write_text("old")

    def changes() -> None:
        remote.write_bytes(b"other")

    shell.between.append(changes)
    with pytest.raises(IntegrityError, match="did not arrive whole"):
        ssh.fetch(M1, str(remote), tmp_path / "etcd.db")
    assert (tmp_path / "etcd.db").read_text() == "old"
    assert here(tmp_path) == ["etcd.db"]


def test_a_copy_that_ends_in_the_middle_leaves_nothing_and_a_new_connection_for_the_next(
    ssh: ParamikoSsh, shell: Shell, remote: Path, tmp_path: Path
) -> None:
    shell.dies = 1000
    with pytest.raises(UnreachableError, match="m1: lost while copying"):
        ssh.fetch(M1, str(remote), tmp_path / "etcd.db")
    assert here(tmp_path) == []
    assert not shell.active
    assert ssh._clients == {}


def test_a_place_that_cannot_be_written_is_told_and_is_no_fault_of_the_hosts(
    ssh: ParamikoSsh, shell: Shell, remote: Path, tmp_path: Path
) -> None:
    with pytest.raises(ScalerError, match=r"etcd\.db cannot be written: No such file or directory"):
        ssh.fetch(M1, str(remote), tmp_path / "nowhere" / "etcd.db")
    assert shell.active
