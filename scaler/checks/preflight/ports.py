"""The ports of kubelet and kube-proxy are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {10250: "kubelet", 10248: "kubelet's health", 10249: "kube-proxy's metrics", 10256: "kube-proxy's health"}
_OURS = {"kubelet", "kube-proxy"}


def _look(subject: Subject) -> Iterator[Told]:
    for listener in subject.facts.listeners:
        if listener.port in PORTS and not (subject.ours and listener.process in _OURS):
            yield Told(
                f"port {listener.port} ({PORTS[listener.port]}) is taken by {listener.process}",
                f"stop {listener.process} there",
            )


CHECK = Check("ports", _look)
