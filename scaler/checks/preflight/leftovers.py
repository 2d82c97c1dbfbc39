"""A new host carries nothing of another cluster, nor of an earlier life in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    facts = subject.facts
    if subject.ours:
        return
    if facts.ca_digest and facts.ca_digest != subject.ca_digest:
        yield Told(
            "belongs to another cluster: /etc/kubernetes/pki/ca.crt is another CA's",
            "take it out of that cluster first, or reinstall it",
        )
    elif facts.leftovers:
        yield Told(
            f"has leftovers of an earlier installation: {', '.join(facts.leftovers)}",
            "look at them, then remove them (scaler never deletes what it did not write)",
        )


CHECK = Check("leftovers", _look)
