"""One JSON Lines file a run: intent before and outcome after each step, on disk before the run goes on."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from scaler.errors import ScalerError
from scaler.gateways.files import fsync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.engine.events import Event

STATE_VARIABLE = "SCALER_STATE_DIR"


def state_dir() -> Path:
    """Return where journals and locks are kept ($SCALER_STATE_DIR)."""
    return Path(os.environ.get(STATE_VARIABLE) or platformdirs.user_state_path("scaler"))


def journalled(cluster: str) -> set[str]:
    """Return the runs whose journals are here."""
    return {path.stem for path in (state_dir() / cluster / "runs").glob("*.jsonl")}


def facts(cluster: str) -> Iterator[dict[str, Any]]:
    """Yield what the steps of all runs on ``cluster`` noted, oldest run first; a torn last line is passed over."""
    for path in sorted((state_dir() / cluster / "runs").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if told.get("kind") == "step-fact":
                    yield told.get("data", {})


class Journal:
    """An observer that writes ``<state>/<cluster>/runs/<run>.jsonl``, 0600, each line flushed to the disk."""

    def __init__(self, cluster: str, run: str) -> None:
        self.path = state_dir() / cluster / "runs" / f"{run}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        fsync_directory(self.path.parent)

    def hear(self, event: Event) -> None:
        """Write one event; a step's progress is not journalled."""
        if event.kind == "step-progress":
            return
        try:
            line = event.model_dump_json(exclude_defaults=True).encode() + b"\n"
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as e:
            raise ScalerError(
                f"the journal {self.path} cannot be written: {e.strerror}",
                hint="the run stops before its next step; make room, then run the same command again",
            ) from e

    def close(self) -> None:
        """Close the file; one of a run that did not come to begin is removed."""
        if os.fstat(self._descriptor).st_size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
