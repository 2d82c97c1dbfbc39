"""One command's voice: text for people, json for one envelope at the end, jsonl for every event as it comes.

The envelope: ``{"schema": "scaler/v1", "command": …, "ok": …, "exit_code": …, "data": {…}}``, with
``"error": {"kind", "message", "hint"}`` where something went wrong. Results go to standard output, all else to
standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from scaler.errors import AbortedError, ScalerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

SCHEMA = "scaler/v1"


class Output(StrEnum):
    """Formats of --output."""

    text = "text"
    json = "json"
    jsonl = "jsonl"


class Report:
    """What a command says while it works and when it ends."""

    def __init__(self, command: str, output: Output) -> None:
        self.command = command
        self.output = output
        # False once nobody reads standard output any more.
        self.heard = True
        self._console: Console | None = None

    @property
    def err(self) -> Console:
        """The console on standard error, made when first needed (rich takes time to import)."""
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415

            self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        return self._console

    def say(self, message: str) -> None:
        """Tell a person what is going on."""
        if self.output is Output.text:
            self.err.print(message, markup=False, style="dim")
        elif self.output is Output.jsonl:
            self.line({"kind": "progress", "message": message})

    def line(self, value: dict[str, Any]) -> None:
        """Write one JSON line."""
        try:
            sys.stdout.write(json.dumps(value) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Who read has gone, as head does: nothing that a run would end for. The rest is written to nobody.
            self.heard = False
            nobody = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nobody, sys.stdout.fileno())
            os.close(nobody)

    def result(self, data: dict[str, Any], show: Callable[[], None], error: ScalerError | None = None) -> None:
        """End with ``data``; people get what ``show`` prints. An ``error`` ends the command with its exit code."""
        if self.output is Output.text:
            show()
            if error is not None:
                self._tell(error)
        else:
            self.line(self.envelope(data, error))
        if error is not None:
            raise typer.Exit(error.exit_code)

    def fail(self, error: ScalerError) -> None:
        """End with ``error`` and nothing else."""
        self.result({}, lambda: None, error)

    def envelope(self, data: dict[str, Any], error: ScalerError | None) -> dict[str, Any]:
        """Return what a program gets."""
        envelope: dict[str, Any] = {
            "schema": SCHEMA,
            "command": self.command,
            "ok": error is None,
            "exit_code": error.exit_code if error else 0,
            "data": data,
        }
        if error is not None:
            envelope["error"] = {"kind": error.kind, "message": error.message, "hint": error.hint}
        return envelope

    def _tell(self, error: ScalerError) -> None:
        self.err.print(f"error: {error.message}", markup=False, style="red")
        if error.hint:
            self.err.print(f"next:  {error.hint}", markup=False)


@contextmanager
def reporting(command: str, output: Output) -> Iterator[Report]:
    """Give ``command`` its voice; what it raises is told and becomes its exit code."""
    report = Report(command, output)
    try:
        yield report
    except ScalerError as e:
        report.fail(e)
    except typer.Exit:
        raise
    except typer.Abort:
        report.fail(AbortedError("not done: there was no answer"))
    except Exception as e:  # noqa: BLE001 - a program that reads JSON must not be left without an answer
        traceback.print_exc()
        report.fail(ScalerError(f"a defect of scaler: {type(e).__name__}: {e}", hint="please report it with the above"))
    except KeyboardInterrupt:
        # Before a run, or after one: what comes in the middle of it is the engine's.
        report.fail(AbortedError("interrupted", hint="if a run had begun, the same command goes on from what is there"))
