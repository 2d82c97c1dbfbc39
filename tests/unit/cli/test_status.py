from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scaler.app import cloud_session, cloud_status, inventories
from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.model.cloud_status import CloudStatus
from tests.fakes.control_plane import APISERVER, FakeControlPlane
from tests.fakes.session import Opened

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


_SECTIONS = {
    "nodes",
    "masters",
    "etcd",
    "balancers",
    "dns",
    "certificates",
    "differences",
    "runs",
    "unknown",
    "problems",
}


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    made = FakeControlPlane(tmp_path)
    opened = made.session()

    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: opened.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(opened))
    return made


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, ["status", "--cluster", "prod", *argv])


def test_a_cluster_that_is_well_ends_with_0_and_every_section(plane: FakeControlPlane) -> None:
    done = invoked("--output", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"]) == (0, True)
    assert set(told["data"]) >= _SECTIONS
    assert [problem["warning"] for problem in told["data"]["problems"]] == [True]  # the lab of fakes has no DNS
    assert plane.events == []


def test_one_that_is_not_ends_with_4_and_its_problems(plane: FakeControlPlane) -> None:
    plane._stop(plane.machines["m1"], APISERVER)
    done = invoked("--output", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["error"]["kind"]) == (4, "preflight")
    messages = [problem["message"] for problem in told["data"]["problems"]]
    assert any(message.startswith("master m1: its API server is not ready") for message in messages)


def test_a_person_sees_problems_and_what_to_do_next(plane: FakeControlPlane) -> None:
    plane._stop(plane.machines["m1"], APISERVER)
    done = invoked()
    assert done.exit_code == 4
    assert "✗ master m1: its API server is not ready" in done.stdout
    assert "next: systemctl status kube-apiserver" in done.stdout


class Looks:
    """A clock that ends a watch as Ctrl-C does, at the given sleep."""

    def __init__(self, plane: FakeControlPlane, count: int) -> None:
        self._sleep, self._left = plane.fakes.clock.sleep, count

    def sleep(self, seconds: float) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        self._sleep(seconds)


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_a_watch_looks_again_and_ends_with_ctrl_c(
    plane: FakeControlPlane, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setattr(plane.fakes.clock, "sleep", Looks(plane, 3).sleep)
    done = invoked("--watch", "--output", output)
    assert done.exit_code == 0
    if output == "text":
        assert done.stdout.count("cluster prod") == 3
    else:
        lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["command"] for line in lines] == ["status"] * 3


_WATCH = """
import sys
from scaler.cli import status
from scaler.ui.report import Output, Report
def looks():
    while True:
        yield status.Look(lambda: "cluster prod", {"cluster": "prod"})
status._watch(Report("status", Output(sys.argv[1])), looks())
"""


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_watch_ends_quietly_when_nobody_reads_any_more(output: str) -> None:
    watch = subprocess.Popen(
        [sys.executable, "-c", _WATCH, output], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watch.stdout
    assert watch.stderr
    assert "prod" in watch.stdout.readline()
    watch.stdout.close()
    assert (watch.wait(timeout=60), watch.stderr.read()) == (0, "")
    watch.stderr.close()


def test_a_managed_cluster_is_watched_and_left_in_the_same_way(
    plane: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = CloudStatus(cluster="prod", kind="tke", region="r", at=plane.fakes.clock.now(), api=True, pools=())
    plane.fakes.clock.sleep = Looks(plane, 3).sleep  # type: ignore[method-assign]
    monkeypatch.setattr(inventories, "read_managed", lambda _: "prod")
    monkeypatch.setattr(cloud_session, "CloudSession", lambda _: plane.fakes)
    monkeypatch.setattr(cloud_status, "collect", lambda _: seen)
    done = invoked("--watch")
    assert (done.exit_code, done.stdout.count("cluster prod")) == (0, 3)
    assert "everything is well" in invoked().stdout
