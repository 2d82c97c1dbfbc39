"""The cgroups of a host, in v1, hybrid or v2 as this machine has it; they are also the list of its processes."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.lab.tools import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Short, so that a host which has used up its share waits for milliseconds.
_PERIOD_US = 10_000
# The most there is, of v1 and of v2: what a lab weighs against programs outside of it, which weigh 1024 or 100 each.
_WEIGHTS = {"cpu.shares": 262144, "cpu.weight": 10_000}
_V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup tree."""

    path: Path
    v2: bool


def parse_mounts(text: str) -> tuple[Hierarchy, ...]:
    """Find the cgroup trees in the text of /proc/mounts."""
    found: dict[Path, Hierarchy] = {}
    for line in text.splitlines():
        _, point, kind = line.split()[:3]
        if kind in {"cgroup", "cgroup2"} and point.startswith("/sys/fs/cgroup"):
            found[Path(point)] = Hierarchy(Path(point), v2=kind == "cgroup2")
    return tuple(found.values())


def hierarchies() -> tuple[Hierarchy, ...]:
    """Find all cgroup trees of this machine."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def unified() -> bool:
    """Tell whether this machine has nothing but v2; a host gets the layout its machine has."""
    return all(tree.v2 for tree in hierarchies())


def make(cgroup: str) -> list[Path]:
    """Make ``cgroup`` in every tree; writing a pid into each of the files returned moves that process there."""
    only_v2 = unified()
    entries = []
    for tree in hierarchies():
        parent = tree.path
        for part in Path(cgroup).parts:
            here = parent / part
            if only_v2:
                for controller in _V2_CONTROLLERS:
                    # One the machine does not have, or keeps to itself, is one the host does without.
                    with contextlib.suppress(OSError):
                        (parent / "cgroup.subtree_control").write_text(f"+{controller}")
            here.mkdir(exist_ok=True)
            # A new v1 cpuset is empty and takes no process until it has processors and memory nodes.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not tree.v2 and (here / name).exists() and not (here / name).read_text().strip():
                    (here / name).write_text((parent / name).read_text())
            parent = here
        _weigh(tree.path / part for part in list(Path(cgroup).parents)[:-1])
        _limit(parent)
        entries.append(parent / "cgroup.procs")
    return entries


def _weigh(above: Iterable[Path]) -> None:
    """Let all hosts go before what else the machine does: the one that is the controller takes no processor of theirs.

    Without it all of a lab's hosts together weigh as much as one program outside, such as one of Ansible's forks.
    """
    for directory in above:
        _write(directory, _WEIGHTS)


def _limit(host: Path) -> None:
    """Give a host half of the machine's processors at most: one that starts its control plane starves no other."""
    quota = max(1, (os.cpu_count() or 1) // 2) * _PERIOD_US
    _write(host, {"cpu.max": f"{quota} {_PERIOD_US}", "cpu.cfs_period_us": _PERIOD_US, "cpu.cfs_quota_us": quota})


def _write(directory: Path, settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        if (directory / name).exists():
            # A machine whose own limits leave no room for one has none here.
            with contextlib.suppress(OSError):
                (directory / name).write_text(str(value))


def members(cgroup: str) -> set[int]:
    """Every process in ``cgroup`` or below it, in any tree."""
    pids: set[int] = set()
    for tree in hierarchies():
        for directory, _, _ in os.walk(tree.path / cgroup):
            # It may end while it is being read; then nothing is in it.
            with contextlib.suppress(OSError):
                pids.update(int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split())
    return pids


def holds(cgroup: str, pid: int) -> bool:
    """Tell whether ``pid`` is in ``cgroup`` or below it right now."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(f"{line.split(':', 2)[2]}/".startswith(f"/{cgroup}/") for line in lines)


def send(cgroup: str, pid: int, number: int) -> None:
    """Signal ``pid`` if it is still the process of ``cgroup`` it was taken for."""
    # The descriptor stays with the process it was opened for, so a number that was given away meanwhile is noticed.
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            if holds(cgroup, pid):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def kill(cgroup: str, *, timeout: float = 30) -> None:
    """End everything in ``cgroup`` at once, also what is started meanwhile."""

    def empty() -> bool:
        pids = members(cgroup)
        for pid in pids:
            send(cgroup, pid, signal.SIGKILL)
        return not pids

    wait_until(empty, f"the processes of {cgroup} end", timeout=timeout)


def remove(cgroup: str) -> None:
    """Remove ``cgroup`` and all below it from every tree; it must be without processes."""

    def gone() -> bool:
        for tree in hierarchies():
            for directory, _, _ in os.walk(tree.path / cgroup, topdown=False):
                # The last process may be on its way out; then it is tried again.
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        return not any((tree.path / cgroup).exists() for tree in hierarchies())

    wait_until(gone, f"cgroup {cgroup} is removed", timeout=10)


def remove_if_empty(cgroup: str) -> None:
    """Remove ``cgroup`` where no other lab's cgroup is below it."""
    for tree in hierarchies():
        with contextlib.suppress(OSError):
            (tree.path / cgroup).rmdir()
