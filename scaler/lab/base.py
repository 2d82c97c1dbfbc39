"""The image below every host: a small Debian with all a cluster's host may need, nothing of it running but sshd."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from scaler.lab.apt_sources import debian_sources, render_deb822
from scaler.lab.disk import unmount_below
from scaler.lab.tools import do

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASE = "bookworm"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
HOST_SETTINGS = "/etc/scaler-lab/host"
PRODUCT_UUID = "/etc/scaler-lab/product_uuid"
USERS = {"ops": 1000, "nosudo": 1001}

_PACKAGES = """
    systemd systemd-sysv dbus openssh-server sudo python3 iproute2 iptables kmod ca-certificates procps iputils-ping
    containerd runc containernetworking-plugins haproxy nginx-light libnginx-mod-stream keepalived
    bird2 socat conntrack ipset ebtables ethtool nftables libfaketime
"""

_UNITS_OFF = """
    bird containerd haproxy nginx keepalived apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
    e2scrub_all.timer e2scrub_reap fstrim.timer
"""

_EARLY = f"""\
#!/bin/sh
# What a real host has from its kernel and its cable, before anything else starts.
. {HOST_SETTINGS}
mount --make-rshared /
# systemd-nspawn gives v1 controllers read-only; containerd and the kubelet make cgroups.
for tree in /sys/fs/cgroup/*; do
    if mountpoint -q "$tree"; then mount -o remount,bind,rw "$tree"; fi
done
if [ -e /sys/class/dmi/id/product_uuid ]; then mount --bind {PRODUCT_UUID} /sys/class/dmi/id/product_uuid; fi
ip link set lo up
ip link set host0 address "$MAC"
ip address add "$ADDRESS" dev host0
ip link set host0 up
ip route add default via "$GATEWAY"
sysctl -qw net.ipv4.ip_forward=1
if [ -e /proc/sys/net/bridge ]; then sysctl -qw net.bridge.bridge-nf-call-iptables=1; fi
exit 0
"""

_FILES = {
    "usr/local/sbin/scaler-lab-early": _EARLY,
    "etc/systemd/system/scaler-lab-early.service": """\
[Unit]
Description=what a lab host needs before anything else
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/scaler-lab-early

[Install]
WantedBy=sysinit.target
""",
    # A host that is told to power off does so before a test loses patience.
    "etc/systemd/system.conf.d/scaler-lab.conf": "[Manager]\nDefaultTimeoutStopSec=15s\n",
    "etc/ssh/sshd_config.d/scaler-lab.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "UseDNS no\nMaxStartups 100\nMaxSessions 100\n"
    ),
    # sudo forgets the environment; a host whose clock is shifted must be so under sudo as well.
    "etc/sudoers.d/scaler-lab": "ops ALL=(ALL:ALL) NOPASSWD: ALL\nDefaults env_file=/etc/environment\n",
    "etc/environment": "",
    # No name server: a question must not leave this machine, nor wait for an answer.
    "etc/resolv.conf": "",
}

_GONE = (
    "usr/sbin/policy-rc.d",
    "etc/ssh/ssh_host_*",
    "etc/hostname",
    "etc/machine-id",
    "etc/apt/sources.list.d/*",
    "etc/apt/sources.list",
    # The machine's kernel settings are not the host's to change at every boot.
    "usr/lib/sysctl.d/*",
    "etc/sysctl.d/99-sysctl.conf",
    "etc/sysctl.conf",
    "etc/systemd/system/multi-user.target.wants/remote-fs.target",
    "var/lib/apt/lists/*",
    "var/cache/apt/*.bin",
    "var/log/*.log",
)

_NO_DAEMONS = (
    'printf "#!/bin/sh\\nexit 101\\n" > "$1/usr/sbin/policy-rc.d"',
    'chmod 755 "$1/usr/sbin/policy-rc.d"',
)


def recipe() -> str:
    """All that decides what is in the image, as text."""
    return json.dumps([RELEASE, _PACKAGES, _UNITS_OFF, _FILES, _GONE, _NO_DAEMONS, USERS], sort_keys=True)


def base_path(cache: Path) -> Path:
    """Where the image of this recipe is, or will be."""
    return cache / "lab" / f"base-{hashlib.sha256(recipe().encode()).hexdigest()[:12]}"


def ensure_base(cache: Path, progress: Callable[[str], None]) -> Path:
    """Build the image unless it is there; a build that is cut short leaves nothing that looks like one."""
    base = base_path(cache.absolute())
    if base.is_dir():
        return base
    base.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(base.parent / ".base.lock"):
        if base.is_dir():
            return base
        # Nobody else builds now, so what lies there is the rest of a build that was killed.
        for rest in base.parent.glob(".base-*.tmp"):
            unmount_below(rest)
            shutil.rmtree(rest)
        progress("building the hosts' base image from this machine's Debian mirror (once, about a minute)")
        work = Path(tempfile.mkdtemp(prefix=".base-", suffix=".tmp", dir=base.parent))
        _bootstrap(work / "rootfs", work / "machine.sources")
        _furnish(work / "rootfs")
        (work / "rootfs").replace(base)
        shutil.rmtree(work)
    return base


def _bootstrap(rootfs: Path, sources: Path) -> None:
    sources.write_text(render_deb822(debian_sources(RELEASE)))
    proxies = [line for line in do(["apt-config", "dump"]).out.splitlines() if line.startswith("Acquire::http")]
    do(
        [
            # When this process is killed, the build and what it mounted end with it.
            "setpriv",
            "--pdeathsig=KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            "--format=directory",
            f"--include={','.join(_PACKAGES.split())}",
            *(f"--essential-hook={hook}" for hook in _NO_DAEMONS),
            *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale")),
            *(f"--aptopt={line}" for line in proxies),
            RELEASE,
            str(rootfs),
            str(sources),
        ],
        timeout=1800,
        hint="the lab installs Debian packages from the mirrors in /etc/apt; see that 'apt-get update' works",
    )


def _furnish(rootfs: Path) -> None:
    for pattern in _GONE:
        for path in rootfs.glob(pattern):
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
    (rootfs / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    for name, text in _FILES.items():
        path = rootfs / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (rootfs / "usr/local/sbin/scaler-lab-early").chmod(0o755)
    (rootfs / "etc/sudoers.d/scaler-lab").chmod(0o440)
    for user, uid in USERS.items():
        do(["chroot", str(rootfs), "useradd", "--create-home", "--shell=/bin/bash", f"--uid={uid}", user])
    do(["systemctl", f"--root={rootfs}", "--quiet", "disable", *_UNITS_OFF.split()])
    do(["systemctl", f"--root={rootfs}", "--quiet", "enable", "scaler-lab-early.service"])
    rootfs.chmod(0o755)
