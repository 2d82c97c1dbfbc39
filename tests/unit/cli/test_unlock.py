from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.engine.lease import Lease
from scaler.engine.lock import locked
from scaler.model.holder import Holder
from tests.fakes import world
from tests.fakes.clock import BEGIN
from tests.fakes.session import session
from tests.unit.cli.test_add_node import Opened

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from tests.fakes.session import FakeSession


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = session(tmp_path, world.hosts("n1"), standby=world.hosts("n1"))
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(made))
    return made


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, ["unlock", *argv, "--cluster", "prod"])


def other(live: FakeSession) -> None:
    holder = Holder(user="ops", host="ctl2", pid=7, since=BEGIN, doing="remove-node n9", run="run-2")
    Lease(live.fakes.kube, live.fakes.clock, "prod", holder, 60).take(lambda _: False)


def test_a_free_cluster_is_held_by_nobody() -> None:
    result = invoked()
    assert result.exit_code == 0
    assert result.stdout == "lock on this machine: nobody\nlease in the cluster: nobody\n"


def test_both_holders_are_told_and_nothing_is_taken_out(live: FakeSession) -> None:
    other(live)
    with locked("prod", "add-node n8"):
        result = invoked()
    assert result.exit_code == 0
    assert ": add-node n8\n" in result.stdout
    assert (
        "lease in the cluster: ops on ctl2 (process 7) since 2026-03-01 02:00:00 UTC: remove-node n9" in result.stdout
    )
    assert live.fakes.kube.of("Lease")["scaler"]["spec"]["holderIdentity"]


def test_a_lease_that_lives_is_never_taken_out(live: FakeSession) -> None:
    other(live)
    result = invoked("--i-checked", "--output", "json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["error"]["kind"]) == (6, "locked")
    assert live.fakes.kube.of("Lease")["scaler"]["spec"]["holderIdentity"]


def test_the_lease_of_a_dead_run_is_taken_out_where_that_is_asked_for(live: FakeSession) -> None:
    other(live)
    live.fakes.clock.sleep(61)
    told = json.loads(invoked("--i-checked", "--output", "json").stdout)
    assert told["ok"]
    assert told["data"]["removed"]
    assert told["data"]["lease"]["holder"]["host"] == "ctl2"
    assert not live.fakes.kube.of("Lease")["scaler"]["spec"].get("holderIdentity")


def test_nothing_is_taken_out_while_a_command_of_this_machine_works(live: FakeSession) -> None:
    other(live)
    live.fakes.clock.sleep(61)
    with locked("prod", "add-node n8"):
        result = invoked("--i-checked")
    assert result.exit_code == 6
    assert live.fakes.kube.of("Lease")["scaler"]["spec"]["holderIdentity"]


def test_where_nobody_holds_it_nothing_is_taken_out() -> None:
    told = json.loads(invoked("--i-checked", "--output", "json").stdout)
    assert (told["ok"], told["data"]) == (True, {"lock": None, "lease": None, "removed": False})
