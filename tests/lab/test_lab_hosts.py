"""The lab's promises, on real hosts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scaler.gateways.process import Completed, run
from scaler.lab import cgroups, lab
from scaler.lab.disk import loops_on
from scaler.lab.tools import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.lab.host import Host

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab takes root"),
]

NAME = "labtest"
CACHE = Path(__file__).parents[2] / "cache"
MIB = 1 << 20


def machine() -> dict[str, object]:
    """Everything of this machine that a lab touches."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "mounts": sorted(mounts),
        "links": sorted(link.name for link in Path("/sys/class/net").iterdir()),
        "routes": sorted(run(["ip", "-4", "route", "show", "table", "all"]).out.splitlines()),
        "iptables": run(["iptables", "-S"]).out,
        "loops": loops_on(Path("/var/lib/scaler-lab")),
        "cgroups": sorted(
            str(path) for tree in cgroups.hierarchies() for path in tree.path.glob("scaler-lab/*") if path.is_dir()
        ),
        "processes": [pid for pid in Path("/proc").glob("[0-9]*") if _is_nspawn(pid)],
        "sysctls": run(["sysctl", "-n", "fs.inotify.max_user_instances", "vm.overcommit_memory", "kernel.panic"]).out,
        "files": sorted(
            str(path) for where in ("/var/lib/scaler-lab", "/run/scaler-lab") for path in Path(where).glob("*")
        ),
        "locks": sorted(str(path) for path in Path("/run/systemd/nspawn").glob("*/*")),
    }


def _is_nspawn(process: Path) -> bool:
    with contextlib.suppress(OSError):
        return b"systemd-nspawn" in (process / "cmdline").read_bytes()
    return False


def ssh(host: Host, command: str, *, user: str = "root", check: bool = True) -> Completed:
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={host.lab.known_hosts}",
        "ConnectTimeout=2",
        "LogLevel=ERROR",
    ]
    flags = [flag for option in options for flag in ("-o", option)]
    door = ["ssh", "-F", "/dev/null", "-i", str(host.lab.client_key), *flags, f"{user}@{host.address}"]
    return run([*door, command], check=check, timeout=20)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, ...]]:
    lab.down(NAME)
    yield lab.up(NAME, ["m1", "w1"], cache=CACHE)
    lab.down(NAME)


@pytest.fixture
def m1(hosts: tuple[Host, ...]) -> Host:
    hosts[0].power_on()
    return hosts[0]


@pytest.fixture
def w1(hosts: tuple[Host, ...]) -> Host:
    hosts[1].power_on()
    return hosts[1]


def test_a_host_answers_ssh(m1: Host) -> None:
    assert ssh(m1, "hostname").out == "m1\n"


def test_a_host_comes_up_without_a_failed_unit(m1: Host) -> None:
    assert ssh(m1, "systemctl is-system-running --wait").out == "running\n"
    assert ssh(m1, "systemctl is-active containerd haproxy nginx keepalived", check=False).out == "inactive\n" * 4


def test_one_user_may_sudo_without_a_password_and_the_other_not(m1: Host) -> None:
    assert ssh(m1, "sudo -n id -un", user="ops").out == "root\n"
    assert ssh(m1, "sudo -n id -un", user="nosudo", check=False).status != 0


def test_hosts_reach_each_other_and_nothing_else(m1: Host, w1: Host) -> None:
    assert ssh(m1, f"ping -c1 -W2 {w1.address}").status == 0
    # A pod's and a service's address, which no host of this lab carries.
    for address in ("10.244.9.9", "10.96.0.1"):
        assert ssh(m1, f"ping -c1 -W1 {address}", check=False).status != 0
        assert run(["ip", "route", "get", address], check=False).status != 0
    fence = [rule for rule in run(["iptables", "-S", "FORWARD"]).out.splitlines() if m1.lab.bridge in rule]
    assert ["ACCEPT" in fence[0], "REJECT" in fence[1], len(fence)] == [True, True, 2]


def test_every_host_has_numbers_of_its_own(m1: Host, w1: Host) -> None:
    numbers = "cat /etc/machine-id /etc/scaler-lab/product_uuid /sys/class/net/host0/address"
    assert not set(ssh(m1, numbers).out.split()) & set(ssh(w1, numbers).out.split())


def test_a_killed_host_comes_back_with_its_address_and_key(m1: Host) -> None:
    ssh(m1, "echo kept > /root/file; sync")
    before = ssh(m1, "cat /etc/machine-id").out
    m1.kill()
    assert not m1.running
    assert not m1.answers()
    m1.power_on()
    assert ssh(m1, "cat /root/file /etc/machine-id").out == "kept\n" + before


def test_a_host_that_is_told_to_power_off_does_so_in_order(m1: Host) -> None:
    m1.stop()
    assert not m1.running
    assert "Reached target" in m1.console.read_text()
    m1.stop()


def test_a_host_reboots_by_itself_and_from_outside(m1: Host) -> None:
    first = ssh(m1, "cut -d' ' -f1 /proc/1/stat; systemctl show -P UserspaceTimestampMonotonic").out
    m1.reboot()
    second = ssh(m1, "cut -d' ' -f1 /proc/1/stat; systemctl show -P UserspaceTimestampMonotonic").out
    assert second != first
    before = m1.leader
    ssh(m1, "systemctl reboot", check=False)
    wait_until(lambda: m1.leader not in {None, before}, "m1 reboots", timeout=30)
    m1.power_on()
    assert ssh(m1, "hostname").out == "m1\n"


def test_a_reset_host_is_pristine_and_keeps_its_key(m1: Host) -> None:
    ssh(m1, "touch /root/file /var/lib/etcd/file")
    identity = ssh(m1, "cat /etc/machine-id").out
    started = time.monotonic()
    m1.reset()
    assert time.monotonic() - started < 2
    m1.power_on()
    assert ssh(m1, "ls /root/file /var/lib/etcd/file", check=False).status != 0
    assert ssh(m1, "cat /etc/machine-id").out == identity


def test_a_host_can_be_reset_while_another_one_made_later_runs(m1: Host, w1: Host) -> None:
    assert w1.running
    w1.reboot()
    m1.reset()
    assert not loops_on(m1.directory)[1:]
    m1.power_on()


def test_a_cut_host_does_not_answer_and_a_mended_one_does(m1: Host) -> None:
    m1.cut()
    assert not m1.answers()
    assert m1.exec(["hostname"]).out == "m1\n"
    m1.mend()
    wait_until(m1.answers, "m1 answers", timeout=10)


def test_a_cut_port_is_silent_and_others_answer(m1: Host) -> None:
    m1.cut_port(22)
    assert not m1.answers()
    m1.mend_port(22)
    assert m1.answers()


def test_a_full_disk_is_full_inside_and_not_outside(m1: Host) -> None:
    outside = os.statvfs(m1.directory)
    m1.fill(leave_bytes=8 * MIB)
    for directory in ("/root", "/var/lib/etcd", "/var/lib/containerd", "/var/lib/kubelet"):
        full = ssh(m1, f"head -c 20M /dev/zero > {directory}/big; s=$?; rm {directory}/big; exit $s", check=False)
        assert "No space left on device" in full.err
    now = os.statvfs(m1.directory)
    assert (outside.f_bavail - now.f_bavail) * now.f_bsize < 100 * MIB
    m1.fill()
    assert m1.disk.free() < MIB
    m1.unfill()
    assert ssh(m1, "head -c 20M /dev/zero > /root/big && rm /root/big").status == 0


def test_a_shifted_clock_is_seen_over_ssh(m1: Host) -> None:
    def skew(command: str, user: str) -> float:
        return float(ssh(m1, command, user=user).out) - time.time()

    m1.set_clock(-3600)
    for user, prefix in (("root", ""), ("ops", ""), ("ops", "sudo -n ")):
        assert skew(f"{prefix}date +%s.%N", user) == pytest.approx(-3600, abs=3)
        assert skew(f"{prefix}python3 -c 'import time; print(time.time())'", user) == pytest.approx(-3600, abs=3)
    m1.set_clock(0)
    assert skew("date +%s.%N", "root") == pytest.approx(0, abs=3)


def test_containers_run_on_a_host(m1: Host) -> None:
    script = """
        set -e
        mkdir -p /etc/containerd
        containerd config default | sed 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' \
            > /etc/containerd/config.toml
        systemctl start containerd
        mkdir -p /var/lib/containerd/rootfs && cd /var/lib/containerd/rootfs
        for part in bin lib lib64; do ln -s usr/$part $part; done
        for file in /usr/bin/sh /usr/bin/cat /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/lib64/ld-linux-x86-64.so.2; do
            mkdir -p .$(dirname $file) && cp -L $file .$file
        done
        ctr run --rm --memory-limit 67108864 --rootfs $PWD try /bin/sh -c 'echo works; cat /proc/self/cgroup'
    """
    said = m1.exec(["sh", "-c", script]).out
    assert said.startswith("works\n")
    assert "/default/try" in said


@pytest.mark.alone
def test_up_twice_changes_nothing(hosts: tuple[Host, ...]) -> None:
    for host in hosts:
        host.power_on()
    before, state = [host.leader for host in hosts], machine()
    again = lab.up(NAME, ["m1", "w1"], cache=CACHE)
    assert [host.leader for host in again] == before
    assert machine() == state
    assert [(status.name, status.running, status.ssh) for status in lab.status(NAME).hosts] == [
        ("m1", True, True),
        ("w1", True, True),
    ]


def test_a_host_that_was_destroyed_comes_back_at_its_address(w1: Host) -> None:
    w1.destroy()
    assert not w1.directory.exists()
    again = lab.up(NAME, ["w1"], cache=CACHE)[0]
    assert again.address == w1.address
    assert ssh(again, "hostname").out == "w1\n"


@pytest.mark.alone
@pytest.mark.parametrize("after", [0.05, 0.2, 0.4, 0.8])
def test_down_leaves_nothing_behind_of_an_up_that_was_killed(after: float) -> None:
    name = "labtest-cut"
    before = machine()
    code = "; ".join(
        (
            "from pathlib import Path",
            "from scaler.lab import lab",
            "print('go', flush=True)",
            f"lab.up({name!r}, ['a', 'b'], cache=Path({str(CACHE)!r}))",
        )
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as making:
        assert making.stdout is not None
        making.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            making.wait(after)
        making.send_signal(signal.SIGKILL)
    lab.down(name)
    assert machine() == before


@pytest.mark.alone
def test_down_leaves_nothing_behind() -> None:
    lab.down(NAME)
    before = machine()
    made = lab.up(NAME, ["m1", "w1"], cache=CACHE)
    made[0].kill()
    lab.down(NAME)
    assert machine() == before
    lab.down(NAME)
    assert machine() == before
    assert lab.status(NAME).hosts == ()
