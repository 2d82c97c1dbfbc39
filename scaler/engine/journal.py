"""One JSON Lines file a run: intent before and outcome after each step, on disk before the run goes on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from scaler.errors import ScalerError
from scaler.gateways.commands import JOB_VARIABLE
from scaler.gateways.files import fsync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.engine.events import Event

STATE_VARIABLE = "SCALER_STATE_DIR"
# What a step may tell until its end: facts, failures of many hosts with the logs of their units.
RESERVED_BYTES = 256 * 1024
_NO_RESERVING = {errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ESPIPE}


def state_dir() -> Path:
    """Return where journals and locks are kept ($SCALER_STATE_DIR)."""
    return Path(os.environ.get(STATE_VARIABLE) or platformdirs.user_state_path("scaler"))


def runs_dir(cluster: str) -> Path:
    """Return where the journals of ``cluster`` are."""
    return state_dir() / cluster / "runs"


def journalled(cluster: str) -> set[str]:
    """Return the runs whose journals are here."""
    return {path.stem for path in runs_dir(cluster).glob("*.jsonl")}


def lines(path: Path) -> list[str]:
    """Return a journal's lines; what was reserved behind them and never written is no line."""
    text = path.read_bytes().rstrip(b"\0").decode("utf-8", errors="replace")
    return text.removesuffix("\n").split("\n") if text else []


def facts(cluster: str) -> Iterator[dict[str, Any]]:
    """Yield what the steps of all runs on ``cluster`` noted, oldest run first; a torn last line is passed over."""
    for path in sorted(runs_dir(cluster).glob("*.jsonl")):
        for line in lines(path):
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if told.get("kind") == "step-fact":
                    yield told.get("data", {})


def is_open(path: Path) -> bool:
    """Tell whether the process that writes the journal still lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class Journal:
    """An observer that writes ``<state>/<cluster>/runs/<run>.jsonl``, 0600, each line flushed to the disk.

    Before each step room for what it will tell is reserved, so that a disk that fills up meanwhile stops the run before
    a step and never between an act and its record. While the file is open it is locked, which ends with the process.
    """

    def __init__(self, cluster: str, run: str) -> None:
        self.path = runs_dir(cluster) / f"{run}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._length = 0
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        fsync_directory(self.path.parent)

    def hear(self, event: Event) -> None:
        """Write one event; a step's progress is not journalled."""
        if event.kind == "step-progress":
            return
        if event.kind == "run-started" and (job := os.environ.get(JOB_VARIABLE)):
            event = event.model_copy(update={"job": job})
        try:
            if event.kind in {"run-started", "step-intent", "undo-intent"}:
                self._reserve()
            line = event.model_dump_json(exclude_defaults=True).encode() + b"\n"
            while line:
                written = os.write(self._descriptor, line)
                self._length += written
                line = line[written:]
            os.fsync(self._descriptor)
        except OSError as e:
            raise ScalerError(
                f"the journal {self.path} cannot be written: {e.strerror}",
                hint="the run stops before its next step; make room, then run the same command again",
            ) from e

    def _reserve(self) -> None:
        try:
            os.posix_fallocate(self._descriptor, self._length, RESERVED_BYTES)
        except OSError as e:
            # Where the filesystem cannot reserve, a full disk shows when a line is written.
            if e.errno not in _NO_RESERVING:
                raise

    def close(self) -> None:
        """Give back what was reserved and not used, and close; the file of a run that did not begin is removed."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._length)
        if not self._length:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
