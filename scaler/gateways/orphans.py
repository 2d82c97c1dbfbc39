"""End what a killed scaler left running on this machine: an Ansible that nobody listens to would go on with hosts.

Whatever scaler starts to change hosts carries, in its environment and so in that of all its children, who started it:
a process ID and when that process began, in the kernel's ticks, since IDs are given again. Whoever has a mark of a
process that is gone is an orphan.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path

VARIABLE = "SCALER_STARTED_BY"
END_SECONDS = 5.0
_BEGAN = 19
"""Field 22 of /proc/PID/stat, counted from behind the program's name, which may hold spaces."""


def mark() -> str:
    """Return what tells this process' children."""
    return f"{os.getpid()}:{_began(os.getpid())}"


def end() -> list[int]:
    """Kill this user's orphans and wait until they are gone; return their process IDs."""
    ended = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            # It may end meanwhile, or be another user's.
            with contextlib.suppress(OSError):
                if _ended(int(directory.name)):
                    ended.append(int(directory.name))
    return ended


def _ended(process: int) -> bool:
    """Kill ``process`` if it is an orphan; the descriptor makes sure that it is the one that was looked at."""
    descriptor = os.pidfd_open(process)
    try:
        mine = Path(f"/proc/{process}").stat().st_uid == os.getuid() and _namespace(process) == _namespace(os.getpid())
        if not mine or not _is_orphan(process):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return bool(select.select([descriptor], [], [], END_SECONDS)[0])
    finally:
        os.close(descriptor)


def _is_orphan(process: int) -> bool:
    environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    prefix = f"{VARIABLE}=".encode()
    told = next((each.removeprefix(prefix).decode() for each in environment if each.startswith(prefix)), "")
    parent, _, began = told.partition(":")
    return parent.isdigit() and began.isdigit() and _began(int(parent)) != began


def _namespace(process: int) -> str:
    """Return in which PID namespace ``process`` is: in a container's, the IDs in its mark mean other processes."""
    return str(Path(f"/proc/{process}/ns/pid").readlink())


def _began(process: int) -> str:
    """Return when ``process`` began, in the kernel's ticks; an empty string where there is none, or a dead one."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[_BEGAN]
