"""The ports of what will run on the host are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {10250: "kubelet", 10248: "kubelet's health"}
PROXY_PORTS = {10249: "kube-proxy's metrics", 10256: "kube-proxy's health"}
MASTER_PORTS = {6443: "API server", 10257: "controller manager", 10259: "scheduler"}
ETCD_PORTS = {2379: "etcd's clients", 2380: "etcd's members", 2381: "etcd's metrics"}
# A process' name has 15 characters.
_OURS = {"kubelet", "kube-proxy", "kube-apiserver", "kube-controller", "kube-scheduler", "etcd"}


def _look(subject: Subject) -> Iterator[Told]:
    proxied = (subject.cluster.settings.kube_proxy_mode or subject.living.mode) != "none"
    wanted = {
        **(PROXY_PORTS if proxied and subject.becomes != "etcd" else {}),
        **(PORTS if subject.becomes != "etcd" else {}),
        **(MASTER_PORTS if subject.becomes == "masters" else {}),
        **(ETCD_PORTS if subject.has_member else {}),
    }
    for listener in subject.facts.listeners:
        if listener.port in wanted and not (subject.ours and listener.process.startswith(tuple(_OURS))):
            yield Told(
                f"port {listener.port} ({wanted[listener.port]}) is taken by {listener.process}",
                f"stop {listener.process} there",
            )


CHECK = Check("ports", _look)
