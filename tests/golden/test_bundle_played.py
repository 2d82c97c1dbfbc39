"""The bundle's task as Ansible itself runs it, on this machine: what crosses between its two halves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaler import assets

RESULTS = Path("/run/scaler")

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.skipif(os.geteuid() != 0, reason="what is placed belongs to root"),
]


def play(directory: Path, task: dict[str, Any], *more: str) -> dict[str, Any]:
    """Run one bundle task on this machine; return its result."""
    playbook, told = directory / "play.yml", directory / "told.json"
    tasks = [
        {"scaler_bundle": task, "register": "told", "ignore_errors": True},
        {"copy": {"dest": str(told), "content": "{{ told | to_json }}"}, "check_mode": False},
    ]
    playbook.write_text(
        json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}])
    )
    python_path = os.pathsep.join(path for path in (str(assets.PLAYBOOKS.parent), os.environ.get("PYTHONPATH")) if path)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(playbook), *more],
        env={
            **os.environ,
            "PYTHONPATH": python_path,
            "ANSIBLE_CONFIG": str(assets.PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(told.read_text())
    return answer


def test_a_change_is_told_and_its_result_is_forgotten_on_the_host(tmp_path: Path) -> None:
    task = {"receipt": str(tmp_path / "r.json"), "files": [{"dest": str(tmp_path / "x"), "content": "new"}]}
    told = play(tmp_path, task)
    assert (told["changed"], told["changed_files"]) == (True, [str(tmp_path / "x")])
    assert (tmp_path / "x").read_text() == "new"
    assert list(RESULTS.iterdir()) == []
    assert play(tmp_path, task)["changed"] is False


def test_a_result_that_waits_on_the_host_is_collected_and_nothing_is_done(tmp_path: Path) -> None:
    task = {"receipt": str(tmp_path / "r.json"), "files": [{"dest": str(tmp_path / "x"), "content": "new"}]}
    RESULTS.mkdir(exist_ok=True)
    waits = RESULTS / "op-1-r-present.json"
    waits.write_text(json.dumps({"changed": True, "units": ["x.service"]}))
    told = play(tmp_path, task, "-e", "scaler_operation=op-1")
    assert (told["changed"], told["units"]) == (True, ["x.service"])
    assert not (tmp_path / "x").exists()
    assert list(RESULTS.iterdir()) == []


def test_a_failure_is_told_as_one_and_forgotten_on_the_host(tmp_path: Path) -> None:
    refused = {"dest": str(tmp_path / "x"), "content": "new", "check": ["/bin/false"]}
    told = play(tmp_path, {"receipt": str(tmp_path / "r.json"), "files": [refused]})
    assert told["failed"] is True
    assert "is refused by /bin/false, the old one stays" in told["msg"]
    assert list(RESULTS.iterdir()) == []


def test_check_mode_waits_for_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    task = {"receipt": str(tmp_path / "r.json"), "files": [{"dest": str(tmp_path / "x"), "content": "new"}]}
    assert play(tmp_path, task, "--check")["changed"] is True
    assert not (tmp_path / "x").exists()
