from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scaler import errors
from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.ui.report import Output, reporting
from tests.fakes.session import FakeSession, Opened, facts, session
from tests.fakes.world import hosts

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from scaler.model.inventory import Cluster

TYPES: dict[str, type] = {"schema": str, "command": str, "ok": bool, "exit_code": int, "data": dict}
DATA: dict[str, type] = {
    "plan": dict,
    "run": str,
    "added": list,
    "removed": list,
    "present": list,
    "failed": dict,
    "left": dict,
    "seconds": dict,
    "measures": dict,
    "changed": bool,
    "later": dict,
}
PLAN = {"change", "cluster", "hosts", "steps", "present", "warnings", "untouched", "on_failure", "makes"}
PLAN |= {"leaves", "joins", "dead", "drain", "seen", "pods", "allow_even", "resumes", "rolls_back"}
PLAN |= {"without_api", "to_standby", "sizing", "follows"}


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = session(tmp_path, hosts("n1", "n2"), standby=hosts("n1", "n2"))

    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(made))
    return made


def invoked(*argv: str, output: str = "json") -> Result:
    return CliRunner().invoke(app, ["add-node", *argv, "--cluster", "prod", "--output", output])


def envelope(result: Result) -> dict[str, Any]:
    """Return the one line of standard output, its keys and types checked."""
    (line,) = result.stdout.splitlines()
    told: dict[str, Any] = json.loads(line)
    expected = TYPES if told["ok"] else {**TYPES, "error": dict}
    assert {key: type(value) for key, value in told.items()} == expected
    assert told["schema"] == "scaler/v1"
    assert told["command"] == "add-node"
    assert told["exit_code"] == result.exit_code
    assert told["ok"] == (result.exit_code == 0)
    if not told["ok"]:
        assert {key: type(value) for key, value in told["error"].items()} == dict.fromkeys(
            ("kind", "message", "hint"), str
        )
    return told


@pytest.mark.usefixtures("live")
def test_success() -> None:
    told = envelope(invoked("n1", "n2", "--yes"))
    assert told["exit_code"] == 0
    data = told["data"]
    assert {key: type(value) for key, value in data.items()} == DATA
    assert set(data["plan"]) == PLAN
    assert data["added"] == ["n1", "n2"]
    assert data["changed"] is True
    assert data["failed"] == data["left"] == {}
    assert set(data["seconds"]) == {step["step"] for step in data["plan"]["steps"]}


@pytest.mark.usefixtures("live")
def test_a_plan_changes_nothing_and_has_no_run() -> None:
    data = envelope(invoked("n1", "--plan"))["data"]
    assert {key: type(value) for key, value in data.items()} == {**DATA, "run": type(None)}
    assert data["changed"] is False
    assert data["added"] == []
    assert data["plan"]["steps"]


def test_partial(live: FakeSession) -> None:
    live.fakes.playbooks.fails["worker_install.yml", "n2"] = "no room"
    told = envelope(invoked("n1", "n2", "--yes"))
    assert (told["exit_code"], told["error"]["kind"]) == (2, "partial")
    assert told["data"]["added"] == ["n1"]
    assert told["data"]["failed"] == {"n2": "no room"}
    assert {key: type(value) for key, value in told["data"].items()} == DATA


def test_all_failed(live: FakeSession) -> None:
    live.fakes.playbooks.fails["worker_install.yml", "n1"] = "no room"
    live.fakes.playbooks.fails["worker_remove.yml", "n1"] = "gone"
    told = envelope(invoked("n1", "--yes"))
    assert (told["exit_code"], told["error"]["kind"]) == (9, "step")
    assert told["data"]["added"] == []
    assert set(told["data"]["left"]) == {"n1"}
    assert "run the same command again" in told["error"]["hint"]


def test_preflight_refusal(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].facts = facts(live.fakes.hosts[0], swaps=["/dev/sda2"])
    told = envelope(invoked("n1", "--yes"))
    assert (told["exit_code"], told["error"]["kind"], told["data"]) == (4, "preflight", {})
    assert "n1: refused: swap: swap is on: /dev/sda2" in told["error"]["message"]
    assert live.fakes.kube.of("Node").keys() == {"m1", "w1"}


@pytest.mark.usefixtures("live")
def test_input_error() -> None:
    told = envelope(invoked("999.1.1.1", "--name", "n7"))
    assert (told["exit_code"], told["error"]["kind"], told["data"]) == (3, "input", {})


def test_defect(live: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> Cluster:
        raise ZeroDivisionError("of scaler's own")

    del live
    monkeypatch.setattr(sessions, "read_cluster", broken)
    result = invoked("n1")
    told = envelope(result)
    assert (told["exit_code"], told["error"]["kind"], told["data"]) == (1, "error", {})
    assert told["error"]["message"] == "a defect of scaler: ZeroDivisionError: of scaler's own"
    assert "Traceback" in result.stderr


@pytest.mark.usefixtures("live")
def test_json_lines_end_with_the_envelope() -> None:
    result = invoked("n1", "--yes", output="jsonl")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert told[-1]["schema"] == "scaler/v1"
    assert told[-1]["data"]["added"] == ["n1"]
    assert all("kind" in line for line in told[:-1])
    kinds = [line["kind"] for line in told[:-1] if line["kind"].startswith("run-")]
    assert kinds == ["run-started", "run-ended"]


CODES = {
    errors.ScalerError: (1, "error"),
    errors.PartialError: (2, "partial"),
    errors.InputError: (3, "input"),
    errors.PreflightError: (4, "preflight"),
    errors.GuardError: (5, "guard"),
    errors.LockedError: (6, "locked"),
    errors.UnreachableError: (7, "unreachable"),
    errors.IntegrityError: (8, "integrity"),
    errors.StepError: (9, "step"),
    errors.AbortedError: (10, "aborted"),
    errors.LabError: (11, "lab"),
    errors.CloudError: (13, "cloud"),
    errors.CredentialsError: (14, "credentials"),
    errors.ConflictError: (15, "conflict"),
    errors.QuotaError: (16, "quota"),
    errors.SoldOutError: (17, "sold-out"),
    errors.ThrottledError: (18, "throttled"),
    errors.AmbiguousError: (19, "ambiguous"),
    errors.NotOfferedError: (20, "not-offered"),
    errors.StillGoingError: (21, "still-going"),
    errors.BusyError: (30, "busy"),
    errors.NotNowError: (31, "not-now"),
}


@pytest.mark.parametrize(("kind", "ends"), CODES.items())
def test_each_class_of_error_has_its_exit_code(
    kind: type[errors.ScalerError], ends: tuple[int, str], live: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: str) -> Cluster:
        raise kind("what", hint="next")

    del live
    monkeypatch.setattr(sessions, "read_cluster", refused)
    told = envelope(invoked("n1"))
    assert (told["exit_code"], told["error"]["kind"]) == ends
    assert told["error"] == {"kind": ends[1], "message": "what", "hint": "next"}


def test_every_class_of_error_is_in_this_contract() -> None:
    found = {v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.ScalerError)}
    assert found == set(CODES)


def test_no_answer_and_an_interruption_are_aborted(capsys: pytest.CaptureFixture[str]) -> None:
    import typer  # noqa: PLC0415

    for raised in (typer.Abort(), KeyboardInterrupt()):
        with pytest.raises(typer.Exit) as ended, reporting("add-node", Output.json):
            raise raised
        assert ended.value.exit_code == 10
        assert json.loads(capsys.readouterr().out)["error"]["kind"] == "aborted"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from scaler.cli.main import app\n"
        "try:\n"
        "    app(['--help'])\n"
        "finally:\n"
        "    heavy = {'pydantic', 'paramiko', 'ansible_runner', 'ansible', 'rich.progress', 'cryptography', 'httpx2',\n"
        "             'boto3', 'botocore', 'google.cloud.container_v1', 'azure.identity',\n"
        "             'alibabacloud_cs20151215', 'tencentcloud'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"},
    )
    assert "Grow and shrink" in done.stdout
    assert done.stderr == "heavy: []\n"
