"""A kubelet that asks the cluster for its serving certificate: Kubernetes itself never approves such a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    if subject.component.name != "kubelet":
        return
    setting = subject.component.value("rotate-server-certificates", "serverTLSBootstrap")
    if setting is not None and setting.value.lower() in {"true", ""}:
        yield Told(
            f"{setting.told}: nothing in Kubernetes approves a request of kubernetes.io/kubelet-serving; until "
            "somebody does, kubectl logs and exec fail on a node that joins, or whose certificate has ended",
            setting.place,
            instead="a controller that approves them, or tlsCertFile and tlsPrivateKeyFile",
            warning=True,
        )


CHECK = Check("serving", _look)
