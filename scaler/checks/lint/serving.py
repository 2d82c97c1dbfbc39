"""A kubelet that asked for its serving certificate and has none: Kubernetes itself never approves such a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    component, machine = subject.component, subject.machine
    if component.name != "kubelet" or machine is None or machine.serving is not False or component.flag("cert-dir"):
        return
    setting = component.value("rotate-server-certificates", "serverTLSBootstrap")
    # A flag without a value is true.
    if setting is not None and setting.value.lower() in {"true", ""}:
        yield Told(
            f"{setting.told}: its kubelet has no certificate to serve with, since nothing in Kubernetes approves "
            "requests of kubernetes.io/kubelet-serving; kubectl logs and exec fail on this node",
            setting.place,
            instead="see kubectl get csr, and approve what is this node's own; scaler does so for nodes that it adds",
        )


CHECK = Check("serving", _look)
