"""The new host's version fits every API server that may answer it, also while an upgrade goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.plan import skew

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    wanted = subject.cluster.settings.kubernetes_version
    servers = [reach.version for reach in subject.facts.reach if reach.version]
    for message in skew.beside_apiservers("kubelet", wanted, servers):
        yield Told(message, "finish the upgrade of the masters first, or correct kubernetes_version")
    if subject.becomes == "masters":
        for message in skew.of_apiservers([wanted, *servers]):
            yield Told(message, "finish the upgrade of the masters first")


CHECK = Check("skew", _look, of_nodes=True)
