"""One real host: a whole systemd in a container, with its own disk, cable, clock and power switch."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import LabError
from scaler.lab import cgroups, network
from scaler.lab.base import FAKETIME, HOST_SETTINGS, PRODUCT_UUID, USERS
from scaler.lab.disk import REAL, Disk
from scaler.lab.keys import ensure_key
from scaler.lab.tools import do, wait_until, within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv4Network

    from scaler.gateways.process import Completed
    from scaler.lab.layout import Lab, LabHost

_NSPAWN_RUNTIME = Path("/run/systemd/nspawn")
# systemd's own words for "power off" and "reboot", as signals to process 1.
_POWER_OFF = signal.SIGRTMIN + 4
_REBOOT = signal.SIGRTMIN + 5
# Enters the host's cgroups, lets go of the caller, then runs the host for as long as it asks to be started again.
_RUNNER = """\
set -e
log=$1 entries=$2; shift 2
for entry in $entries; do echo $$ > "$entry"; done
exec < /dev/null > "$log" 2>&1
set +e
while "$@"; [ $? -eq 133 ]; do :; done
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Host:
    """A host of a lab; every verb may be said twice, and waits for its effect."""

    lab: Lab
    spec: LabHost
    subnet: IPv4Network
    disk: Disk

    @property
    def name(self) -> str:
        """Its host name."""
        return self.spec.name

    @property
    def address(self) -> IPv4Address:
        """Its address on the lab's bridge."""
        return self.spec.address

    @property
    def directory(self) -> Path:
        """All its files on this machine."""
        return self.lab.host_dir(self.name)

    @property
    def console(self) -> Path:
        """What it printed since it was last switched on."""
        return self.directory / "console.log"

    @property
    def public_key(self) -> str:
        """The key sshd shows, made at the first call and kept through ``reset``."""
        return ensure_key(self.directory / "identity" / "ssh_host_ed25519_key", self.name)

    @property
    def running(self) -> bool:
        """Whether anything of it runs."""
        return bool(cgroups.members(self._cgroup))

    @property
    def leader(self) -> int | None:
        """The machine's number for the host's process 1."""
        depth = len(_numbers(os.getpid())) + 1
        # A pod has numbers of its own as well, one level deeper.
        inside = {pid: _numbers(pid) for pid in cgroups.members(self._cgroup)}
        return next((pid for pid, numbers in inside.items() if len(numbers) == depth and numbers[-1] == "1"), None)

    def answers(self, *, timeout: float = 0.5) -> bool:
        """Whether its sshd greets."""
        try:
            with socket.create_connection((str(self.address), 22), timeout=timeout) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def power_on(self, *, timeout: float = 60) -> None:
        """Switch it on, unless it is, and return when its sshd answers."""
        if not self.running:
            self._start()

        def up() -> bool:
            if not self.running:
                raise LabError(f"{self.name} did not start: {self._last_words()}", hint=f"see {self.console}")
            return self.answers()

        wait_until(up, f"{self.name} answers on {self.address} (console: {self.console})", timeout=timeout)

    def stop(self, *, timeout: float = 120) -> None:
        """Power it off in order: units are stopped, disks written."""
        if leader := self.leader:
            cgroups.send(self._cgroup, leader, _POWER_OFF)
            wait_until(lambda: not self.running, f"{self.name} powers off", timeout=timeout)
        self.kill()

    def kill(self) -> None:
        """Pull the plug: every process of it ends this instant."""
        if leader := self.leader:
            cgroups.send(self._cgroup, leader, signal.SIGKILL)
            # All processes inside end with number 1; systemd-nspawn then tidies up after itself, if it may.
            within(5, lambda: not self.running)
        cgroups.kill(self._cgroup)
        cgroups.remove(self._cgroup)
        wait_until(
            lambda: not network.exists(self.lab.link(self.spec)), f"{self.name} lets go of its cable", timeout=10
        )
        self._tidy()

    def reboot(self, *, timeout: float = 120) -> None:
        """Reboot it in order, and return when its sshd answers again."""
        before = self.leader
        if before is None:
            self.power_on()
            return
        cgroups.send(self._cgroup, before, _REBOOT)
        wait_until(lambda: self.leader not in {None, before}, f"{self.name} comes back", timeout=timeout)
        self.power_on(timeout=timeout)

    def reset(self) -> None:
        """Make it a freshly installed host, switched off, with the name, address, machine ID and key it had."""
        self.kill()
        self.disk.wipe()
        self._seed()

    def destroy(self) -> None:
        """Leave nothing of it on this machine."""
        self.kill()
        self.disk.detach()
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def cut(self) -> None:
        """Pull its cable; it runs on. A host switched on anew has its cable plugged."""
        network.set_link(self.lab.link(self.spec), up=False)

    def mend(self) -> None:
        """Plug its cable."""
        network.set_link(self.lab.link(self.spec), up=True)

    def cut_port(self, port: int) -> None:
        """Drop what comes in for a TCP port, as a firewall in between does."""
        self.mend_port(port)
        self.exec(["iptables", "-w", "-I", *_port_rule(port)])

    def mend_port(self, port: int) -> None:
        """Take the firewall of ``cut_port`` away."""
        while self.exec(["iptables", "-w", "-C", *_port_rule(port)], check=False).status == 0:
            self.exec(["iptables", "-w", "-D", *_port_rule(port)])

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Fill its disk, which /, /var/lib/etcd, /var/lib/kubelet and /var/lib/containerd share."""
        self._seed()
        self.disk.unfill()
        self.disk.fill(leave_bytes)

    def unfill(self) -> None:
        """Give the space back."""
        self._seed()
        self.disk.unfill()

    def set_clock(self, offset_seconds: int) -> None:
        """Shift the time that logins and sudo see from now on; 0 sets it right. Daemons keep the machine's time."""
        # In the sessions' environment, not in ld.so.preload: sshd's sandbox kills a process that looks like that.
        lines = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME={offset_seconds:+d}", "FAKETIME_DONT_FAKE_MONOTONIC=1")
        self._seed()
        self._write("etc/environment", "".join(f"{line}\n" for line in lines) if offset_seconds else "")

    def exec(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60, check: bool = True) -> Completed:
        """Run a program inside as root, past the network; for setting up, since no real host has such a door."""
        leader = self.leader
        if leader is None:
            raise LabError(f"{self.name} is switched off", hint="switch it on first")
        door = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        inside = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", *argv]
        return do([*door, "--", *inside], stdin=stdin, timeout=timeout, check=check)

    @property
    def _cgroup(self) -> str:
        return self.lab.host_cgroup(self.name)

    def _start(self) -> None:
        self._seed()
        self._tidy()
        # One directory for all hosts of the lab, as storage on the network is.
        shared = self.lab.root / "shared"
        shared.mkdir(exist_ok=True)
        entries = " ".join(str(entry) for entry in cgroups.make(self._cgroup))
        nspawn = [
            "systemd-nspawn",
            "--register=no",
            "--keep-unit",
            f"--network-bridge={self.lab.bridge}",
            "--capability=all",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            f"--machine={self.lab.machine(self.spec)}",
            f"--hostname={self.name}",
            f"--directory={self.disk.root}",
            "--bind=/dev/kmsg",
            f"--bind={shared}:/srv/shared",
            *(f"--bind={self.disk.mount / name}:{target}" for name, target in REAL.items()),
            "--boot",
        ]
        env = {
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": str(int(cgroups.unified())),
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
            "SYSTEMD_SECCOMP": "0",
        }
        runner = ["setsid", "--fork", "sh", "-c", _RUNNER, f"scaler-lab-{self.name}", str(self.console), entries]
        if complaint := do([*runner, *nspawn], env=env).err.strip():
            raise LabError(f"{self.name} could not enter its cgroups: {complaint}")

    def _seed(self) -> None:
        """Mount the disk and, where it is new, put the host's identity on it."""
        if not self.disk.ensure():
            return
        identity = self.directory / "identity"
        own_key = self.public_key
        numbers = identity / "machine-id"
        if not numbers.exists():
            numbers.write_text(f"{uuid.uuid4().hex}\n")
        machine_id = numbers.read_text().strip()
        settings = {
            "ADDRESS": f"{self.address}/{self.subnet.prefixlen}",
            "MAC": self.spec.mac,
            "GATEWAY": self.subnet[1],
        }
        self._write(HOST_SETTINGS, "".join(f"{key}={value}\n" for key, value in settings.items()))
        self._write(PRODUCT_UUID, f"{uuid.uuid5(uuid.NAMESPACE_OID, machine_id)}\n")
        self._write("etc/machine-id", f"{machine_id}\n")
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        self._write("etc/ssh/ssh_host_ed25519_key", (identity / "ssh_host_ed25519_key").read_text(), mode=0o600)
        self._write("etc/ssh/ssh_host_ed25519_key.pub", f"{own_key}\n")
        client = ensure_key(self.lab.client_key, f"lab {self.lab.name}")
        for home, owner in {"root": 0, **{f"home/{user}": uid for user, uid in USERS.items()}}.items():
            self._write(f"{home}/.ssh/authorized_keys", f"{client}\n", mode=0o600)
            for path in (self.disk.root / home / ".ssh", self.disk.root / home / ".ssh" / "authorized_keys"):
                os.chown(path, owner, owner)
        self.disk.seeded()

    def _write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        path = self.disk.root / name.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def _tidy(self) -> None:
        """Remove what systemd-nspawn leaves where it was killed."""
        shutil.rmtree(_NSPAWN_RUNTIME / "propagate" / self.lab.machine(self.spec), ignore_errors=True)
        shutil.rmtree(_NSPAWN_RUNTIME / "unix-export" / self.lab.machine(self.spec), ignore_errors=True)
        if os.path.ismount(self.disk.root):
            root = self.disk.root.stat()
            (_NSPAWN_RUNTIME / "locks" / f"inode-{root.st_dev}:{root.st_ino}").unlink(missing_ok=True)

    def _last_words(self) -> str:
        lines = self.console.read_text(errors="replace").split("\n") if self.console.exists() else []
        return " / ".join(line.strip() for line in lines[-6:] if line.strip()) or "it said nothing"


def _numbers(pid: int) -> list[str]:
    """Find a process' number in each PID namespace, this machine's first."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []
    return next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])


def _port_rule(port: int) -> list[str]:
    return ["INPUT", "-p", "tcp", "--dport", str(port), "-m", "comment", "--comment", "scaler lab", "-j", "DROP"]
