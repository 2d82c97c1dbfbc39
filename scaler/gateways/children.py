"""A run of scaler's own as a process beside this one: started, watched, and stopped in order."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from scaler.errors import ScalerError
from scaler.gateways.itself import program

if TYPE_CHECKING:
    from collections.abc import Sequence


class Child(Protocol):
    """A run that goes on."""

    def wait(self) -> tuple[int, dict[str, Any]]:
        """Wait for its end; return its exit code and its envelope, {} where it left none."""

    def stop(self) -> None:
        """Let it stop in order, as Ctrl-C would: the step that runs is finished first."""


class Children(Protocol):
    """Who starts runs."""

    def start(self, argv: Sequence[str]) -> Child:
        """Start scaler with ``argv``."""


class ScalerChild:
    """scaler in a session of its own: a signal to this process' group is not one to the run."""

    def __init__(self, argv: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                [*program(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as e:
            raise ScalerError(f"scaler {' '.join(argv)} cannot be started: {e.strerror}") from e

    def wait(self) -> tuple[int, dict[str, Any]]:
        """Wait for its end; return its exit code and its envelope, {} where it left none."""
        out, _ = self._process.communicate()
        lines = out.strip().splitlines()
        envelope: dict[str, Any] = {}
        with suppress(ValueError, IndexError):
            told = json.loads(lines[-1])
            envelope = told if isinstance(told, dict) else {}
        return self._process.returncode, envelope

    def stop(self) -> None:
        """Let it stop in order, as Ctrl-C would: the step that runs is finished first."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)


class ScalerChildren:
    """Starts real ones."""

    def start(self, argv: Sequence[str]) -> Child:
        """Start scaler with ``argv``."""
        return ScalerChild(argv)
