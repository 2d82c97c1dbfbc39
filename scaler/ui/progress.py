"""A run as it goes: a spinner on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler import steps
from scaler.ui.report import Output

if TYPE_CHECKING:
    from datetime import datetime

    from rich.status import Status

    from scaler.engine.events import Event
    from scaler.ui.report import Report


class Progress:
    """An observer that tells a person, or a program, what happens."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._status: Status | None = None
        self._began: datetime | None = None

    def hear(self, event: Event) -> None:
        """Take in one event."""
        if self._report.output is Output.jsonl:
            self._report.line(event.model_dump(mode="json", exclude_defaults=True))
        elif self._report.output is Output.text:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        console, who = self._report.err, ", ".join(event.hosts)
        if event.kind in {"step-intent", "undo-intent"}:
            forth = event.kind == "step-intent"
            self._began = event.at if forth else self._began
            self._spin(f"{'' if forth else 'taking back: '}{steps.find(event.step).title} ({who})")
        elif event.kind == "step-progress" and self._status is not None:
            self._status.update(f"{steps.find(event.step).title}: {event.message}")
        elif event.kind == "step-progress" and event.message.startswith("interrupted"):
            console.print(event.message, markup=False)
        elif event.kind == "step-done":
            self._stop()
            seconds = (event.at - self._began).total_seconds() if self._began else 0.0
            if event.hosts:
                console.print(f"✓ {steps.find(event.step).title}: {who} ({seconds:.1f} s)", markup=False)
        elif event.kind in {"host-failed", "host-left"}:
            self._stop()
            console.print(f"✗ {who}: {event.message}", markup=False, style="red")
        elif event.kind == "host-undone":
            console.print(f"↩ {who}: what this run did there was taken back", markup=False)
        elif event.kind == "run-ended":
            self._stop()
        elif event.kind == "lease-left":
            console.print(f"warning: {event.message}", markup=False, style="yellow")

    def _spin(self, text: str) -> None:
        self._stop()
        if self._report.err.is_terminal:
            self._status = self._report.err.status(text)
            self._status.start()
        else:
            self._report.err.print(f"… {text}", markup=False)

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
