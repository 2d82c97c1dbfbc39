"""Unit files of systemd's: which are scaler's, how words are written in them, and the manager that reads them."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import platformdirs

from scaler.errors import InputError, ScalerError
from scaler.gateways.files import write_atomically
from scaler.gateways.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.gateways.process import Completed

_KINDS = {".service", ".timer"}
SYSTEM = Path("/etc/systemd/system")


def own_directory() -> Path:
    """Return where a user's own units are."""
    return Path(platformdirs.user_config_path("systemd/user"))


def name(cluster: str, job: str) -> str:
    """Return the name of a job's units; neither a cluster's nor a job's name has the '_' in between."""
    return f"scaler-job-{cluster}_{job}"


def header(cluster: str) -> str:
    """Return the first line of each file that is written for ``cluster``."""
    return f"# Written by scaler job install for cluster {cluster}; scaler job uninstall removes it. Do not edit."


def is_of(cluster: str, text: str) -> bool:
    """Tell whether a file with this text was written for ``cluster``."""
    return text.partition("\n")[0] == header(cluster)


def of(cluster: str, directory: Path) -> list[Path]:
    """Return the files in ``directory`` that were written for ``cluster``."""
    files = [path for path in sorted(directory.glob(f"{name(cluster, '*')}.*")) if path.suffix in _KINDS]
    return [path for path in files if is_of(cluster, path.read_text(encoding="utf-8", errors="replace"))]


def word(text: str) -> str:
    """Return a path or an assignment as a unit file wants it."""
    told = text.replace("\\", "\\\\").replace('"', '\\"')
    return escaped(f'"{told}"' if told != text or not told or any(c in told for c in " \t';") else told)


def argument(text: str) -> str:
    """Return a word of a command line, which is the one place where systemd fills in variables."""
    return word(text).replace("$", "$$")


def escaped(text: str) -> str:
    """Return text in which systemd finds no specifier of its own."""
    return text.replace("%", "%%")


def write(path: Path, text: str) -> None:
    """Write a unit file."""
    try:
        write_atomically(path, text.encode(), mode=0o644)
    except PermissionError as e:
        raise _refused(path) from e


def remove(path: Path) -> None:
    """Remove a unit file."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError as e:
        raise _refused(path) from e


def _refused(path: Path) -> InputError:
    return InputError(
        f"{path} may not be written by you", hint="run it as root; a job's timers may also be your own: --user"
    )


def own(user: str, directories: Iterable[Path], *, mode: int) -> None:
    """Make what ``user`` will write to, where it is not there: a unit cannot make it, nor start without it."""
    entry = pwd.getpwnam(user)
    for directory in directories:
        if not directory.exists():
            try:
                directory.mkdir(parents=True)
            except PermissionError as e:
                raise _refused(directory) from e
            directory.chmod(mode)
            if os.getuid() == 0:
                os.chown(directory, entry.pw_uid, entry.pw_gid)


def own_zone() -> str:
    """Return the time zone of this machine's own clock, by its name."""
    with suppress(OSError):
        path = str(Path("/etc/localtime").resolve())
        if "/zoneinfo/" in path:
            return path.partition("/zoneinfo/")[2]
    return "UTC"


class Manager(NamedTuple):
    """The systemd that starts the jobs: the machine's, or a user's own."""

    user: bool

    def reload(self) -> None:
        """Let it read its files anew."""
        self._call("daemon-reload")

    def start(self, timers: Sequence[str]) -> None:
        """Start timers, now and at each boot."""
        if timers:
            self._call("enable", "--now", *timers)

    def restart(self, timers: Sequence[str]) -> None:
        """Let timers that run count anew."""
        if timers:
            self._call("restart", *timers)

    def stop(self, timers: Sequence[str]) -> None:
        """Stop timers, now and at each boot."""
        if timers:
            self._call("disable", "--now", *timers)

    def runs(self, unit: str) -> bool:
        """Tell whether something of the unit's runs at this moment."""
        said = self._said("show", "--property=ActiveState", "--value", unit)
        return said.out.strip() in {"activating", "active", "deactivating", "reloading"}

    def _call(self, *argv: str) -> None:
        said = self._said(*argv)
        if said.status != 0:
            raise ScalerError(
                f"systemctl {' '.join((*self._own, *argv))}: {said.err.strip() or f'exit status {said.status}'}",
                hint="--print crontab does without systemd; --directory DIR only writes the files",
            )

    def _said(self, *argv: str) -> Completed:
        return run(["systemctl", *self._own, "--no-ask-password", *argv], check=False, timeout=120)

    @property
    def _own(self) -> tuple[str, ...]:
        return ("--user",) if self.user else ()
