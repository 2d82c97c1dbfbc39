"""Make a lab, look at it, take it down; each may be said twice, after a crash, and on half a lab."""

from __future__ import annotations

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout

from scaler.errors import LabError
from scaler.lab import cgroups, network, record
from scaler.lab.base import ensure_base
from scaler.lab.disk import Disk, loops_on, mounts_below, share, unmount_below
from scaler.lab.host import Host
from scaler.lab.keys import ensure_key
from scaler.lab.layout import CGROUP_ROOT, DEFAULT_PARENT, RUNTIME, Lab, check_name
from scaler.lab.record import Record
from scaler.lab.tools import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ipaddress import IPv4Address, IPv4Network
    from pathlib import Path

T = TypeVar("T")

DISK_BYTES = 8 << 30

# Programs the lab starts, and the Debian package of each.
_NEEDS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "iptables": "iptables",
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
_LOCK_TIMEOUT = 1800


@dataclass(frozen=True)
class HostStatus:
    """How a host is."""

    name: str
    address: IPv4Address
    running: bool
    pid: int | None
    ssh: bool


@dataclass(frozen=True)
class LabStatus:
    """How a lab is; ``subnet`` is None where there is none of that name."""

    name: str
    root: Path
    subnet: IPv4Network | None
    bridge: bool
    hosts: tuple[HostStatus, ...]


def up(
    name: str,
    hosts: Sequence[str],
    *,
    cache: Path,
    progress: Callable[[str], None] = lambda _: None,
    disk_bytes: int = DISK_BYTES,
) -> tuple[Host, ...]:
    """Make the lab and all of ``hosts`` and return them when each answers on SSH; what is there stays as it is."""
    _require_tools()
    lab = Lab(name)
    for host in hosts:
        check_name(host, "host")
    with _locked(lab):
        known = record.load(lab)
        # A host's disk lies on the base it was made with; a newer recipe is for a new lab.
        base = known.base if known and known.base.is_dir() else ensure_base(cache, progress)
        with _machine_locked():
            known = known or Record(subnet=_free_subnet(lab), base=base, disk_bytes=disk_bytes)
            known = known.model_copy(update={"base": base}).with_hosts(hosts)
            record.save(lab, known)
            share(lab.root)
            progress(f"bridge {lab.bridge}, {known.subnet}")
            network.ensure(lab, known.subnet)
        ensure_key(lab.client_key, f"lab {lab.name}")
        every = _hosts(lab, known)
        _write_known_hosts(lab, every)
        wanted = [host for host in every if host.name in set(hosts)]

        def switch_on(host: Host) -> None:
            host.power_on()
            progress(f"{host.name} answers on {host.address}")

        _all_at_once(switch_on, wanted)
    return tuple(wanted)


def find_hosts(name: str) -> tuple[Host, ...]:
    """Every host of a lab that was made; LabError where there is no such lab."""
    lab = Lab(name)
    known = record.load(lab)
    if known is None:
        raise LabError(f"no lab {name} on this machine", hint=f"make it first; labs are in {lab.parent}")
    return _hosts(lab, known)


def status(name: str) -> LabStatus:
    """Look at a lab without touching it."""
    lab = Lab(name)
    known = record.load(lab)
    hosts = _hosts(lab, known) if known else ()

    def look(host: Host) -> HostStatus:
        leader = host.leader
        return HostStatus(host.name, host.address, host.running, leader, leader is not None and host.answers())

    return LabStatus(
        name=name,
        root=lab.root,
        subnet=known.subnet if known else None,
        bridge=network.exists(lab.bridge),
        hosts=tuple(_all_at_once(look, hosts)),
    )


def down(name: str, progress: Callable[[str], None] = lambda _: None) -> None:
    """Leave nothing of the lab on this machine but the base image, whatever state it is in."""
    lab = Lab(name)
    _require_root()
    with _locked(lab):
        # Hosts tidy up after themselves; what no record tells of is found by cgroup, mount and bridge below.
        with contextlib.suppress(LabError):
            if known := record.load(lab):
                _all_at_once(Host.kill, _hosts(lab, known))
        cgroups.kill(lab.cgroup)
        cgroups.remove(lab.cgroup)
        progress("all hosts are off")
        unmount_below(lab.root)
        wait_until(lambda: not loops_on(lab.root), f"the loop devices of lab {name} are freed", timeout=60)
        with _machine_locked():
            network.remove(lab)
            cgroups.remove_if_empty(CGROUP_ROOT)
        # What is still mounted there would be removed with it, the base image first of all.
        if lab.root.exists() and not mounts_below(lab.root):
            shutil.rmtree(lab.root)
        if lab.parent == DEFAULT_PARENT:
            _remove_if_empty(lab.parent)
        lab.lock.unlink(missing_ok=True)
    _remove_if_empty(RUNTIME)
    progress(f"lab {name} is gone")


def _hosts(lab: Lab, known: Record) -> tuple[Host, ...]:
    return tuple(
        Host(lab, spec, known.subnet, Disk(lab.host_dir(spec.name), known.disk_bytes, known.base))
        for spec in known.hosts
    )


def _free_subnet(lab: Lab) -> IPv4Network:
    others = [
        other for path in lab.parent.glob("*/lab.json") if (other := record.load(Lab(path.parent.name, lab.parent)))
    ]
    return network.pick_subnet([*network.machine_networks(), *(other.subnet for other in others)])


def _write_known_hosts(lab: Lab, hosts: Sequence[Host]) -> None:
    lines = [f"{host.name},{host.address} {' '.join(host.public_key.split()[:2])}\n" for host in hosts]
    new = lab.known_hosts.with_suffix(".new")
    new.write_text("".join(lines))
    new.replace(lab.known_hosts)


def _all_at_once(verb: Callable[[Host], T], hosts: Sequence[Host]) -> list[T]:
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return list(pool.map(verb, hosts))


def _require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab mounts, bridges and starts hosts: that takes root", hint="run it with sudo")


def _require_tools() -> None:
    _require_root()
    if missing := sorted({package for program, package in _NEEDS.items() if shutil.which(program) is None}):
        raise LabError(f"not installed on this machine: {', '.join(missing)}", hint=f"apt install {' '.join(missing)}")


@contextlib.contextmanager
def _locked(lab: Lab) -> Iterator[None]:
    RUNTIME.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lab.lock, timeout=_LOCK_TIMEOUT):
            yield
    except Timeout as e:
        raise LabError(f"somebody else is making or removing lab {lab.name}") from e


@contextlib.contextmanager
def _machine_locked() -> Iterator[None]:
    """Keep two labs from changing what they share; the file goes with the lock."""
    path = RUNTIME / "machine.lock"
    with FileLock(path):
        yield
        path.unlink(missing_ok=True)


def _remove_if_empty(directory: Path) -> None:
    with contextlib.suppress(OSError):
        directory.rmdir()
