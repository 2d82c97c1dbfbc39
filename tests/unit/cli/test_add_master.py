from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scaler.app import session as sessions
from scaler.cli.main import app
from tests.fakes.control_plane import FakeControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from scaler.model.inventory import Cluster
    from tests.fakes.session import FakeSession


def opened(there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch, directory: Path) -> FakeControlPlane:
    @contextmanager
    def door(_: Cluster) -> Iterator[FakeSession]:
        yield there.session()

    monkeypatch.setenv("SCALER_STATE_DIR", str(directory / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: there.session().cluster)
    monkeypatch.setattr(sessions, "opened", door)
    return there


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    return opened(FakeControlPlane(tmp_path, "m2", "m3"), monkeypatch, tmp_path)


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    return opened(FakeControlPlane(tmp_path, "e2", "e3", etcd=1), monkeypatch, tmp_path)


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, [*argv, "--cluster", "prod"])


def told(*argv: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoked(*argv, "--output", "json").stdout)
    return found


def test_two_masters_are_added_and_every_set_is_shown(there: FakeControlPlane) -> None:
    result = invoked("add-master", "m2", "m3", "--yes")
    assert result.exit_code == 0, result.output
    assert "done: m2, m3" in result.output
    assert "backends of lb2" in result.output
    assert there.groups()["masters"] == ["m1", "m2", "m3"]


def test_the_same_command_again_changes_nothing(there: FakeControlPlane) -> None:
    invoked("add-master", "m2", "m3", "--yes")
    events = list(there.events)
    data = told("add-master", "m2", "m3", "--yes")["data"]
    assert (data["changed"], data["present"], data["added"]) == (False, ["m2", "m3"], [])
    assert there.events == events


def test_a_plan_is_shown_and_nothing_is_changed(there: FakeControlPlane) -> None:
    data = told("add-master", "m2", "m3", "--plan")["data"]
    assert data["plan"]["makes"] == "masters"
    assert data["run"] is None
    assert there.events == []
    assert there.etcd.voters == ["m1"]


def test_an_even_number_is_unsafe_unless_it_is_wanted(there: FakeControlPlane) -> None:
    refused = told("add-master", "m2", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (5, "guard")
    assert told("add-master", "m2", "--allow-even", "--yes")["exit_code"] == 0
    assert there.etcd.voters == ["m1", "m2"]


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["m9"], "m9 is not in"),
        (["lb1"], "lb1 is one of the loadbalancers"),
        (["w1"], "it cannot become a master"),
        (["m2", "m2"], "name m2 is given twice"),
        (["10.0.0.2"], "the node needs a name"),
    ],
)
def test_a_host_that_cannot_become_a_master_is_an_input_error(
    there: FakeControlPlane, argv: list[str], why: str
) -> None:
    refused = told("add-master", *argv, "--yes")
    assert refused["exit_code"] == 3
    assert why in refused["error"]["message"]
    assert there.events == []


def test_a_host_given_by_its_address_becomes_a_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = opened(FakeControlPlane(tmp_path, "m2", "m3"), monkeypatch, tmp_path)
    assert told("add-master", "10.0.0.2", "--name", "m2", "--allow-even", "--yes")["data"]["added"] == ["m2"]
    assert there.groups()["masters"] == ["m1", "m2"]


def test_a_step_that_fails_ends_with_nine_and_nothing_left(there: FakeControlPlane) -> None:
    there.blocked.add(("m1", "m2", 2380))
    refused = told("add-master", "m2", "m3", "--yes")
    assert (refused["exit_code"], refused["error"]["kind"]) == (9, "step")
    assert refused["data"]["left"] == {}
    assert "m1 does not reach etcd's ports of m2" in refused["data"]["failed"]["m2"]
    assert there.machines["m2"].files == {}


def test_members_of_an_etcd_of_its_own_are_added(members: FakeControlPlane) -> None:
    result = told("add-etcd", "e2", "e3", "--yes")
    assert result["exit_code"] == 0
    assert result["data"]["added"] == ["e2", "e3"]
    assert members.groups()["etcd"] == ["e1", "e2", "e3"]


def test_what_is_left_for_later_is_told(members: FakeControlPlane) -> None:
    assert set(told("add-etcd", "e2", "e3", "--yes")["data"]["later"]) == {"m1"}
    assert members.etcd.voters == ["e1", "e2", "e3"]
    assert members.outages == []


@pytest.mark.usefixtures("there")
def test_add_etcd_is_refused_where_masters_have_their_own_members() -> None:
    refused = told("add-etcd", "m2", "--yes")
    assert refused["exit_code"] == 3
    assert "add-master" in refused["error"]["hint"]
