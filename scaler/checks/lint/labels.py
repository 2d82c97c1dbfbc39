"""Labels that a kubelet may not give its own Node: it does not start with one of Kubernetes' own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.lint import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

# As the kubelet of every version has them; "kubernetes.io" and "k8s.io" with all below them are Kubernetes' own.
_ALLOWED = {
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
}
_ALLOWED_BELOW = ("kubelet.kubernetes.io", "node.kubernetes.io")
_OWN = ("kubernetes.io", "k8s.io")


def _below(namespace: str, domains: tuple[str, ...]) -> bool:
    return any(namespace == domain or namespace.endswith(f".{domain}") for domain in domains)


def _look(subject: Subject) -> Iterator[Told]:
    labels = subject.component.flag("node-labels") if subject.component.name == "kubelet" else None
    for item in labels.items if labels else ():
        key = item.partition("=")[0]
        namespace = key.rpartition("/")[0]
        if _below(namespace, _OWN) and key not in _ALLOWED and not _below(namespace, _ALLOWED_BELOW):
            yield Told(
                f"--node-labels {key}: a kubelet may not give itself that one, and does not start",
                labels.place if labels else subject.component.place,
                instead="kubectl label after the join; scaler labels masters itself",
            )


CHECK = Check("labels", _look)
