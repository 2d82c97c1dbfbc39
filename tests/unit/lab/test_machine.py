from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from scaler.errors import LabError
from scaler.lab import cgroups
from scaler.lab.base import base_path
from scaler.lab.cgroups import Hierarchy, parse_mounts
from scaler.lab.keys import ensure_key
from scaler.lab.network import SUBNETS, parse_routes, pick_subnet
from scaler.lab.tools import do, wait_until

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
cgroup /var/lib/elsewhere/sys/fs/cgroup/cpu cgroup rw,cpu 0 0
"""


def test_a_hybrid_machine_has_both_kinds_of_trees() -> None:
    assert parse_mounts(HYBRID) == (
        Hierarchy(Path("/sys/fs/cgroup/cpu,cpuacct"), v2=False),
        Hierarchy(Path("/sys/fs/cgroup/systemd"), v2=False),
        Hierarchy(Path("/sys/fs/cgroup/unified"), v2=True),
    )


def test_a_v2_machine_has_one_tree() -> None:
    assert parse_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == (Hierarchy(Path("/sys/fs/cgroup"), v2=True),)


def test_routes_are_networks_and_the_default_route_is_none() -> None:
    text = '[{"dst":"default","gateway":"192.0.2.1"},{"dst":"192.0.2.0/24"},{"type":"local","dst":"192.0.2.2"}]'
    assert parse_routes(text) == [IPv4Network("192.0.2.0/24"), IPv4Network("192.0.2.2/32")]
    assert parse_routes("") == []


def test_the_first_subnet_that_nobody_uses_is_picked() -> None:
    assert pick_subnet([]) == IPv4Network("10.213.0.0/24")
    assert pick_subnet([IPv4Network("10.213.0.0/23")]) == IPv4Network("10.213.2.0/24")
    assert pick_subnet([IPv4Network("10.213.0.5/32")]) == IPv4Network("10.213.1.0/24")


def test_no_subnet_is_picked_where_all_are_used() -> None:
    with pytest.raises(LabError, match="no free subnet"):
        pick_subnet([SUBNETS])


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "id_ed25519"
    first = ensure_key(path, "lab dev")
    assert first == ensure_key(path, "lab dev")
    assert first.startswith("ssh-ed25519 ")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    path.write_text("half")
    ensure_key(path, "lab dev")
    assert path.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_the_base_is_named_by_its_recipe(tmp_path: Path) -> None:
    assert base_path(tmp_path).parent == tmp_path / "lab"
    assert base_path(tmp_path) == base_path(tmp_path)


def test_a_failed_program_is_the_labs_failure_with_what_to_do() -> None:
    with pytest.raises(LabError) as failure:
        do(["sh", "-c", "echo broken >&2; exit 3"], hint="mend it")
    assert "broken" in failure.value.message
    assert failure.value.hint == "mend it"


def test_a_wait_ends() -> None:
    with pytest.raises(LabError, match="the moon is blue: not within 0"):
        wait_until(lambda: False, "the moon is blue", timeout=0)


@pytest.mark.parametrize(
    ("files", "written"),
    [
        (("cpu.cfs_period_us", "cpu.cfs_quota_us"), {"cpu.cfs_period_us": "10000", "cpu.cfs_quota_us": "20000"}),
        (("cpu.max",), {"cpu.max": "20000 10000"}),
        ((), {}),
    ],
    ids=["v1", "v2", "neither"],
)
def test_a_host_has_half_of_the_machines_processors(
    files: tuple[str, ...], written: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    for name in files:
        (tmp_path / name).touch()
    cgroups._limit(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == written


@pytest.mark.parametrize(("file", "heavy"), [("cpu.shares", "262144"), ("cpu.weight", "10000")], ids=["v1", "v2"])
def test_the_hosts_of_a_lab_weigh_more_than_the_controller_beside_them(file: str, heavy: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("usual")
    cgroups._weigh([tmp_path])
    assert (tmp_path / file).read_text() == heavy
