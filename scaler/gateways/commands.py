"""Run scaler itself, as a person would: the very command, its envelope and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic import ValidationError

from scaler.errors import ScalerError
from scaler.gateways.itself import program
from scaler.model.job_record import Envelope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

JOB_VARIABLE = "SCALER_JOB"
# A step that runs is finished first; an etcd member that catches up takes the longest.
GRACE_SECONDS = 600.0
_LAST = 5


class Answer(NamedTuple):
    """How a command ended; ``late`` where it was asked to stop, since its time was over."""

    exit_code: int
    envelope: Envelope | None
    err: str = ""
    late: bool = False

    @property
    def message(self) -> str:
        """Return why it did not end well, empty where it did."""
        if self.envelope and self.envelope.error:
            return self.envelope.error.message
        if not self.exit_code:
            return ""
        ended = f"it was killed by signal {-self.exit_code}" if self.exit_code < 0 else f"exit code {self.exit_code}"
        lines = self.err.strip().splitlines()
        return f"{ended}: {' / '.join(lines[-_LAST:])}" if lines else ended


class Commands(Protocol):
    """What a job knows of scaler's commands."""

    def run(self, argv: Sequence[str], *, seconds: float) -> Answer:
        """Run ``scaler`` with ``argv``."""

    def stop(self) -> None:
        """Ask the command that runs, if one does, to stop in order; it may be asked from a signal's handler."""


class Subprocesses:
    """Commands as processes of this machine; what they begin is marked as this ``job``'s."""

    def __init__(self, job: str) -> None:
        self._environment = {**os.environ, JOB_VARIABLE: job}
        self._running: subprocess.Popen[str] | None = None

    def run(self, argv: Sequence[str], *, seconds: float) -> Answer:
        """Run it to its end; after ``seconds`` it is told to stop in order, and given time for that."""
        try:
            with self._started([*program(), *argv]) as process:
                return self._ended(process, seconds)
        except OSError as e:
            raise ScalerError(
                f"scaler cannot be started by itself: {e.strerror}", hint="see how it is installed"
            ) from e

    def stop(self) -> None:
        """Ask it to stop in order."""
        process = self._running
        if process is not None and process.poll() is None:
            process.terminate()

    @contextmanager
    def _started(self, argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=self._environment,
            # Ctrl-C goes to the whole group; the job alone decides what it means for the command.
            start_new_session=True,
        ) as process:
            self._running = process
            try:
                yield process
            finally:
                self._running = None

    def _ended(self, process: subprocess.Popen[str], seconds: float) -> Answer:
        late = False
        try:
            out, err = process.communicate(timeout=max(1.0, seconds))
        except subprocess.TimeoutExpired:
            late = True
            process.terminate()
            try:
                out, err = process.communicate(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
        return Answer(process.returncode, envelope(out), err, late)


def envelope(out: str) -> Envelope | None:
    """Return the envelope that a command printed last, None where it printed none."""
    for line in reversed(out.splitlines()):
        try:
            told = json.loads(line)
            return Envelope.model_validate(told) if isinstance(told, dict) and "exit_code" in told else None
        except (ValueError, ValidationError):
            continue
    return None
