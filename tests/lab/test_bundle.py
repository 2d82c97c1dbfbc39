"""The one task that places files, on a real host: whole or not at all, and back again."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scaler import assets
from scaler.gateways.process import run

if TYPE_CHECKING:
    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _fresh(cluster: Cluster) -> None:
    cluster.pristine()


def play(cluster: Cluster, playbook: Path, *more: str, **environment: str) -> str:
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    env = {"ANSIBLE_CONFIG": str(assets.PLAYBOOKS / "ansible.cfg"), **environment}
    return run([ansible, "-i", str(cluster.inventory), str(playbook), *more], timeout=120, check=False, env=env).out


def recap(told: str, host: str) -> dict[str, int]:
    line = next(line for line in told.splitlines() if re.match(rf"{host} +: ok=", line))
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}


def own_playbook(path: Path, task: str) -> Path:
    """Write a playbook of one bundle task beside nothing of ours; it finds the module by the configuration."""
    path.write_text(f"- hosts: standby\n  gather_facts: false\n  tasks:\n    - scaler_bundle:\n{task}")
    return path


def test_a_wrong_byte_on_the_way_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    manifest = (cluster.where.inventory / "binaries.sha256").read_text().splitlines()
    kubelet = next(line.split()[0] for line in manifest if line.endswith("/kubelet"))
    packed = tmp_path / "packed" / f"{kubelet}.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(b"not the kubelet"))
    before = cluster.tree("n1")
    told = play(cluster, assets.PLAYBOOKS / "worker_install.yml", "--limit", "n1", SCALER_CACHE_DIR=str(tmp_path))
    assert recap(told, "n1")["failed"] == 1
    assert "nothing was changed" in told
    assert cluster.tree("n1") == before


def test_a_file_that_its_program_refuses_leaves_the_old_one(cluster: Cluster) -> None:
    before = cluster.tree("lb1"), cluster.processes("lb1")
    told = play(
        cluster, assets.PLAYBOOKS / "loadbalancer_install.yml", "-e", '{"lb_masters": [], "lb_bind": "nonsense"}'
    )
    assert recap(told, "lb1")["failed"] == 1
    assert "is refused by /usr/sbin/haproxy, the old one stays" in told
    assert (cluster.tree("lb1"), cluster.processes("lb1")) == before
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_check_mode_refuses_what_a_real_run_would(cluster: Cluster) -> None:
    before = cluster.tree("lb1"), cluster.processes("lb1")
    nonsense = ["-e", '{"lb_masters": [], "lb_bind": "nonsense"}']
    told = play(cluster, assets.PLAYBOOKS / "loadbalancer_install.yml", "--check", *nonsense)
    assert recap(told, "lb1")["failed"] == 1
    assert "is refused by /usr/sbin/haproxy, the old one stays" in told
    assert (cluster.tree("lb1"), cluster.processes("lb1")) == before


def test_what_was_there_before_is_put_back(cluster: Cluster, tmp_path: Path) -> None:
    host = cluster.hosts["n1"]
    host.exec(["sh", "-c", "echo before > /etc/scaler-test && chmod 640 /etc/scaler-test"])
    before = cluster.tree("n1")
    task = "        receipt: /var/lib/scaler/test.json\n"
    files = (
        "        files:\n"
        "          - {dest: /etc/scaler-test, content: after}\n"
        "          - {dest: /etc/new/deep/file, content: x}\n"
    )
    there = own_playbook(tmp_path / "there.yml", task + files)
    back = own_playbook(tmp_path / "back.yml", task + "        state: absent\n")
    assert recap(play(cluster, there, "--limit", "n1"), "n1")["changed"] == 1
    assert recap(play(cluster, there, "--limit", "n1"), "n1")["changed"] == 0
    assert host.exec(["cat", "/etc/scaler-test", "/etc/new/deep/file"]).out == "afterx"
    assert recap(play(cluster, back, "--limit", "n1"), "n1")["changed"] == 1
    assert cluster.tree("n1") == before
    assert host.exec(["test", "-e", "/etc/new"], check=False).status == 1


def test_a_unit_that_does_not_start_shows_its_log(cluster: Cluster, tmp_path: Path) -> None:
    unit = '"[Service]\\nType=oneshot\\nExecStart=/bin/sh -c \\"echo the reason; exit 1\\"\\n"'
    task = (
        "        receipt: /var/lib/scaler/test.json\n"
        "        files:\n"
        f"          - {{dest: /etc/systemd/system/broken.service, content: {unit}, units: [broken.service]}}\n"
        "        units:\n          - {name: broken.service, enabled: false}\n"
    )
    told = play(cluster, own_playbook(tmp_path / "broken.yml", task), "--limit", "n1")
    assert recap(told, "n1")["failed"] == 1
    assert "broken.service does not start" in told
    assert "the reason" in told


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["Type=notify", "TimeoutStartSec=infinity"], ""),
        (["ExecStartPre=/bin/false"], "slow.service does not start: it is failed (failed)"),
        (
            ["ExecStartPre=/bin/false", "Restart=on-failure", "RestartSec=3"],
            "slow.service does not start: it is activating (auto-restart)",
        ),
    ],
)
def test_a_unit_that_is_long_at_its_start_goes_on_by_itself(
    cluster: Cluster, tmp_path: Path, lines: list[str], says: str
) -> None:
    unit = "\\n".join(["[Service]", "ExecStart=/bin/sleep infinity", *lines, ""])
    task = (
        "        receipt: /var/lib/scaler/test.json\n"
        "        files:\n"
        f'          - {{dest: /etc/systemd/system/slow.service, content: "{unit}", units: [slow.service]}}\n'
        "        units:\n          - {name: slow.service, enabled: false, start_seconds: 2}\n"
    )
    there = own_playbook(tmp_path / "there.yml", task)
    try:
        told = play(cluster, there, "--limit", "n1")
        assert recap(told, "n1")["failed"] == bool(says)
        assert says in told
        state = ["systemctl", "show", "--property=SubState", "--value", "slow.service"]
        if not says:
            assert cluster.hosts["n1"].exec(state).out.strip() == "start"
    finally:
        play(cluster, own_playbook(tmp_path / "back.yml", task + "        state: absent\n"), "--limit", "n1")


@pytest.mark.parametrize(("playbook", "host"), [("master_install.yml", "m1")])
def test_a_playbook_by_hand_finds_nothing_to_change(cluster: Cluster, playbook: str, host: str) -> None:
    before = cluster.processes(host)
    told = play(cluster, assets.PLAYBOOKS / playbook, "--limit", host, "--check")
    assert recap(told, host) == {**recap(told, host), "changed": 0, "failed": 0}
    assert cluster.processes(host) == before
