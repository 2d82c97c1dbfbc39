from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from scaler.app import session as sessions
from scaler.cli import options
from scaler.cli.given import given_host
from scaler.cli.main import app
from scaler.engine.lock import locked
from scaler.errors import InputError
from tests.fakes import world
from tests.fakes.session import Opened, facts, session

if TYPE_CHECKING:
    from typer.testing import Result

    from tests.fakes.session import FakeSession


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = session(tmp_path, world.hosts("n1", "n2"), standby=world.hosts("n1", "n2"), workers=(world.host("w1", 2),))
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(made))
    return made


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, ["add-node", *argv, "--cluster", "prod"])


def untouched(live: FakeSession) -> bool:
    return live.fakes.kube.of("Node").keys() == {"m1", "w1"} and not live.fakes.playbooks.hosts


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["999.1.1.1", "--name", "n7"], "HOST: is not an IP address"),
        (["10.0.0.017", "--name", "n7"], "HOST: is not an IP address"),
        (["10.0.0", "--name", "n7"], "HOST: is not an IP address"),
        (["fe80::1%eth0", "--name", "n7"], "zone"),
        (["127.0.0.1", "--name", "n7"], "is not the address of a host"),
        (["0.0.0.0", "--name", "n7"], "is not the address of a host"),
        (["224.0.0.1", "--name", "n7"], "is not the address of a host"),
        (["10.0.0.11", "--name", "n7"], "address 10.0.0.11 is n1's"),
        (["10.0.0.2", "--name", "n7"], "address 10.0.0.2 is w1's"),
        (["10.0.0.77", "--name", "n1"], "n1 is in"),
        (["n1", "n1"], "name n1 is given twice"),
        (["10.0.0.17", "10.0.0.17", "--name", "n7"], "one address at a time"),
        (["10.0.0.17", "10.0.0.18", "--name", "n7"], "one address at a time"),
        (["10.0.0.17", "n1", "--name", "n7"], "one address at a time"),
        (["10.0.0.17"], "the node needs a name"),
        (["n1", "--name", "n7"], "--name goes with an address"),
        (["n9"], "n9 is not in"),
        (["m1"], "it cannot become a worker"),
        (["10.0.0.17", "--name", "n7", "--key", "/nowhere/key"], "--key /nowhere/key: no such file"),
        (["10.0.0.17", "--name", "n7", "--port", "0"], "port"),
        (["10.0.0.17", "--name", "n7", "--port", "65536"], "port"),
        (["10.0.0.17", "--name", "n7", "--user", "-oProxyCommand=x"], "user: is not a user's name"),
        (["10.0.0.17", "--name", "n7", "--user", "root; reboot"], "user: is not a user's name"),
    ],
)
def test_a_wrong_host_is_refused_and_nothing_is_touched(live: FakeSession, argv: list[str], told: str) -> None:
    result = invoked(*argv, "--yes")
    assert result.exit_code == 3, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert untouched(live)


_RUNS = ["{{ 7 * 7 }}", "{{ lookup('pipe', 'touch canary') }}", "$(touch canary)", "`touch canary`", "a;touch canary"]
_NO_NAMES = ["a\nb", "../a", "a/b", "N7", "n7.", ".n7", "-n7", "n_7", "n" * 64, "n7 ", "ñ7"]


@pytest.mark.parametrize("name", [*_RUNS, *_NO_NAMES])
def test_a_name_that_is_not_a_host_name_is_refused_and_never_run(
    live: FakeSession, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoked("10.0.0.17", f"--name={name}", "--yes")
    assert result.exit_code == 3
    assert "name:" in result.stderr
    assert untouched(live)
    assert not (tmp_path / "canary").exists()


def test_every_mistake_of_a_host_is_told_at_once() -> None:
    with pytest.raises(InputError) as refused:
        given_host(["999.1.1.1"], name="N7", user="R", port=0, key=None)
    for field in ("HOST:", "name:", "user:", "port:"):
        assert f"the command line: {field}" in refused.value.message


def test_a_key_in_the_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ops").touch()
    host = given_host(["10.0.0.17"], name="n7", user="ops", port=2222, key=Path("~/ops"))
    assert host is not None
    assert host.connection.key == tmp_path / "ops"
    assert (host.connection.user, host.connection.port) == ("ops", 2222)


def test_an_ipv6_address_is_an_address() -> None:
    host = given_host(["2001:db8:0::17"], name="n7", user="root", port=22, key=None)
    assert host is not None
    assert host.address == "2001:db8::17"


def test_without_a_terminal_only_yes_is_a_yes(live: FakeSession) -> None:
    result = invoked("n1")
    assert result.exit_code == 3
    assert "nobody can be asked here" in result.stderr
    assert "--yes" in result.stderr
    assert untouched(live)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 10), ("", 10)])
def test_at_a_terminal_the_operator_decides(
    live: FakeSession, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal:
        """Standard input as a terminal's."""

        @staticmethod
        def isatty() -> bool:
            return True

    class Sys:
        """What the question looks at."""

        stdin = Terminal()

    monkeypatch.setattr(options, "sys", Sys)
    result = CliRunner().invoke(app, ["add-node", "n1", "--cluster", "prod"], input=answer)
    assert result.exit_code == code, result.output
    assert untouched(live) == (code != 0)


def test_programs_are_never_asked(live: FakeSession) -> None:
    result = invoked("n1", "--output", "json")
    assert result.exit_code == 3
    assert untouched(live)


def test_a_cluster_whose_workers_are_all_there_is_left_as_it_is(live: FakeSession) -> None:
    result = invoked("w1", "--yes")
    assert result.exit_code == 0, result.output
    assert untouched(live)


def test_keep_going_adds_the_fit_and_ends_as_partial(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].facts = facts(live.fakes.hosts[0], swaps=["/dev/sda2"])
    result = invoked("n1", "n2", "--yes", "--keep-going")
    assert result.exit_code == 2, result.output
    assert "n1: swap: swap is on" in result.stderr
    assert live.fakes.kube.of("Node").keys() == {"m1", "w1", "n2"}


def test_a_second_operator_is_refused_while_the_first_one_works(live: FakeSession) -> None:
    with locked("prod", "add-node n2"):
        result = invoked("n1", "--yes")
    assert result.exit_code == 6
    assert "add-node n2" in result.stderr
    assert untouched(live)


def test_without_a_cluster_the_command_line_is_wrong() -> None:
    assert CliRunner().invoke(app, ["add-node", "n1"], env={"SCALER_CLUSTER": ""}).exit_code == 2
