"""scaler job as a process, beside an inventory that Ansible reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from scaler import assets

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer

MAIN = "from scaler.cli.main import main; main()"

# A process each, and Ansible in it.
pytestmark = pytest.mark.ansible


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    shutil.copytree(assets.INVENTORIES / "example", tmp_path / "example")
    return tmp_path / "example"


def scaler(inventory: Path, *argv: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *argv, "--cluster", str(inventory), "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SCALER_STATE_DIR": str(inventory.parent / "state"), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode
    return done.returncode, told


def test_the_jobs_of_the_example_are_listed_shown_and_due(inventory: Path) -> None:
    code, told = scaler(inventory, "job", "list")
    names = [each["job"] for each in told["data"]["jobs"]]
    assert (code, names) == (0, ["night-down", "morning-up", "etcd-snapshot", "certificates", "status"])
    assert all(each["next"] for each in told["data"]["jobs"])
    code, told = scaler(inventory, "job", "show", "night-down")
    assert told["data"]["command"] == "scaler scale --workers 2 --cluster example --yes"
    code, told = scaler(inventory, "job", "next", "--count", "2")
    assert {len(times) for times in told["data"]["times"].values()} == {2}


def test_a_job_is_run_by_its_own_command_and_its_end_is_kept_and_told(inventory: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("")
    url = inventory.parent / "url"
    url.write_text(httpserver.url_for("/hook"))
    url.chmod(0o600)
    metrics = inventory.parent / "metrics"
    (inventory / "jobs.yaml").write_text(
        f"metrics: {metrics}\n"
        f"notify: [{{webhook: generic, url: {{file: {url}}}}}]\n"
        "jobs:\n  add: {schedule: daily, action: {do: add-node, hosts: [nobody]}}\n"
    )
    code, told = scaler(inventory, "job", "run", "add")
    # The example has no such host, and says so before anything is contacted.
    assert (code, told["error"]["kind"], told["data"]["result"]) == (3, "input", "failed")
    assert told["error"]["message"].startswith("job add: nobody is not in ")
    ((request, _),) = httpserver.log
    posted = json.loads(request.data)
    assert (posted["job"], posted["result"], posted["exit_code"]) == ("add", "failed", 3)
    assert 'scaler_job_last_exit_code{cluster="example",job="add"} 3' in (metrics / "scaler-example.prom").read_text()
    code, told = scaler(inventory, "job", "history")
    (record,) = told["data"]["records"]
    assert (code, record["id"], record["told"]) == (0, posted["id"], {f"webhook generic ({url})": ""})
    shown = (inventory.parent / "state" / "example" / "jobs" / "add" / f"{record['id']}.json").read_text()
    assert httpserver.url_for("/hook") not in shown


def test_units_are_planned_written_left_and_taken_out(inventory: Path) -> None:
    place = inventory.parent / "units"
    place.mkdir()
    code, told = scaler(inventory, "job", "install", "--directory", str(place), "--plan")
    assert (code, told["data"]["changed"], list(place.iterdir())) == (0, False, [])
    code, told = scaler(inventory, "job", "install", "--directory", str(place))
    assert (told["data"]["changed"], len(list(place.iterdir()))) == (True, 10)
    code, told = scaler(inventory, "job", "install", "--directory", str(place))
    assert (told["data"]["changed"], {each["change"] for each in told["data"]["units"]}) == (False, {"keep"})
    code, told = scaler(inventory, "job", "uninstall", "--directory", str(place))
    assert (code, list(place.iterdir())) == (0, [])


def test_a_job_that_is_not_there_is_told_with_those_that_are(inventory: Path) -> None:
    code, told = scaler(inventory, "job", "run", "nightly")
    assert (code, told["error"]["hint"]) == (
        3,
        "it has: night-down, morning-up, etcd-snapshot, certificates, status",
    )
