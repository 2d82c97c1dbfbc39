"""Swap is off, since the kubelet refuses to start with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    if subject.facts.swaps:
        yield Told(
            f"swap is on: {', '.join(subject.facts.swaps)}", "swapoff -a, and take it out of fstab (or disable zram)"
        )


CHECK = Check("swap", _look, of_nodes=True)
