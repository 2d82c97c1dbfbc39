"""What came of proving nodes, as data and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from scaler.app.verify import Verified
    from scaler.model.proof import Proof, Result

_SIGNS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "not there": ("-", "yellow")}


def data(done: Verified) -> dict[str, Any]:
    """Return what a program wants to know."""
    return {
        "run": done.run,
        "image": done.image,
        "seconds": done.seconds,
        "passed": [proof.node for proof in done.proofs if not proof.failed],
        "failed": [proof.node for proof in done.failed],
        "nodes": [proof.model_dump(mode="json") for proof in done.proofs],
        "left": done.left,
    }


def show(done: Verified) -> None:
    """Print each node with its checks, those that hold in short."""
    console = Console(highlight=False, soft_wrap=True)
    for proof in done.proofs:
        console.print(_head(proof))
        for result in proof.checks:
            console.print(_line(result))


def _head(proof: Proof) -> Text:
    counts = {outcome: sum(each.outcome == outcome for each in proof.checks) for outcome in _SIGNS}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    peers = f", with {', '.join(proof.peers)}" if proof.peers else ""
    life = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in proof.stages.items())
    return Text.assemble((proof.node, "bold"), f": {told} ({proof.seconds:.0f} s{peers})\n  its pod: {life or 'never'}")


def _line(result: Result) -> Text:
    sign, colour = _SIGNS[result.outcome]
    why = f"not there: {result.reason}" if result.outcome == "not there" else result.reason
    return Text.assemble((f"  {sign} ", colour), f"{result.check:<22} {result.seconds:6.1f} s  ", (why, colour))
