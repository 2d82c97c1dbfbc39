"""What lint found for a person: by host and component, what is wrong now before what will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.app.lint import Looked
    from scaler.checks.lint import LintFinding


def data(looked: Looked) -> dict[str, Any]:
    """Return what a program gets."""
    return {
        "for": looked.target,
        "components": [
            {"host": host, "component": c.name, "version": c.version, "running": c.running}
            for host, told in looked.judged.items()
            for c in told
        ],
        "away": looked.away,
        "findings": [{**finding.model_dump(mode="json"), "now": looked.now(finding)} for finding in looked.findings],
    }


def show(looked: Looked) -> None:
    """Print what was found to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    for line in _lines(looked):
        console.print(line)


def _lines(looked: Looked) -> Iterator[Text]:
    for host, told in looked.judged.items():
        for component in told:
            found = [f for f in looked.findings if (f.host, f.component) == (host, component.name)]
            version = f" {component.version}" if component.version else ""
            yield Text.assemble((f"{host} " if host else "", "bold"), (f"{component.name}{version}", "bold"))
            for finding in sorted(found, key=lambda f: (not looked.now(f), not f.error, f.file, f.line)):
                yield from _finding(looked, finding)
            if not found:
                yield Text("  nothing to say", "dim")
    for host, why in looked.away.items():
        yield Text.assemble((f"{host} ", "bold"), (f"not looked at: {why}", "yellow"))


def _finding(looked: Looked, finding: LintFinding) -> Iterator[Text]:
    mark, style = ("✗", "red") if finding.error else ("!", "yellow")
    when = "" if looked.now(finding) else f"at {finding.at}: "
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file
    yield Text.assemble((f"  {mark} ", style), f"{where}: ", (f"{when}{finding.message}", style))
    if finding.instead:
        yield Text(f"      instead: {finding.instead}")
