"""etcd beside its Kubernetes, and what its version is known to do wrong when members change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told
from scaler.plan import etcd_versions

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    if subject.component.name != "etcd":
        return
    for told in etcd_versions.traps(subject.at):
        yield Told(told, subject.component.place, instead="the newest patch of its minor", warning=True)
    if subject.kubernetes:
        for told in etcd_versions.beside(subject.at, subject.kubernetes):
            yield Told(told, subject.component.place, instead="upgrade etcd first, one minor at a time", warning=True)


CHECK = Check("etcd", _look)
