"""Pods of a node through kubectl: listed, evicted, and the budgets and volumes that a drain waits for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scaler.gateways.kube import KubeError
from scaler.model import versions
from scaler.model.pods import Attachment, Budget, PersistentVolume, Pod

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scaler.gateways.kube import Kube

_GONE = "(NotFound)"


def on_node(kube: Kube, node: str) -> list[Pod]:
    """Return every pod of ``node``."""
    told = kube.call(["get", "pods", "--all-namespaces", f"--field-selector=spec.nodeName={node}", "-o", "json"])
    return [Pod.model_validate(each) for each in json.loads(told)["items"]]


def named(kube: Kube, namespace: str, name: str) -> Pod | None:
    """Return one pod, None where there is none of that name."""
    found = kube.get("pods", [name], namespace=namespace)
    return Pod.model_validate(found[0]) if found else None


def evict(kube: Kube, namespace: str, name: str, uid: str, kubernetes: str) -> str:
    """Ask the API to evict exactly the pod with ``uid``; return why it does not, empty where it does or it is gone.

    The API holds to PodDisruptionBudgets.
    """
    version = "policy/v1" if versions.minor(kubernetes) >= (1, 22) else "policy/v1beta1"
    eviction = {
        "apiVersion": version,
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": uid}},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    try:
        kube.call(["create", "--raw", path, "-f", "-"], stdin=json.dumps(eviction))
    except KubeError as e:
        return "" if _GONE in e.message else e.message.removeprefix("kubectl create --raw: ")
    return ""


def end_at_once(kube: Kube, pods: Iterable[Pod]) -> None:
    """Delete ``pods`` without waiting for a kubelet; only for those of a node that is proven dead."""
    spaces: dict[str, list[str]] = {}
    for pod in pods:
        spaces.setdefault(pod.metadata.namespace, []).append(pod.metadata.name)
    how = ["--ignore-not-found", "--force", "--grace-period=0", "--wait=false"]
    for namespace, names in spaces.items():
        kube.call(["delete", "pods", *names, "-n", namespace, *how])


def budgets(kube: Kube) -> list[Budget]:
    """Return every PodDisruptionBudget."""
    told = kube.call(["get", "poddisruptionbudgets", "--all-namespaces", "-o", "json"])
    return [Budget.model_validate(each) for each in json.loads(told)["items"]]


def persistent_volumes(kube: Kube) -> list[PersistentVolume]:
    """Return every PersistentVolume."""
    return [PersistentVolume.model_validate(told) for told in kube.get("persistentvolumes")]


def attachments(kube: Kube, node: str) -> list[Attachment]:
    """Return what is attached to ``node``."""
    found = [Attachment.model_validate(told) for told in kube.get("volumeattachments.storage.k8s.io")]
    return [each for each in found if each.spec.node == node]


def wanted(kube: Kube, namespace: str, stateful_set: str, ordinal: int) -> bool:
    """Tell whether a StatefulSet is to have a pod of this number."""
    for told in kube.get("statefulsets", [stateful_set], namespace=namespace):
        spec = told["spec"]
        return ordinal < int(spec.get("ordinals", {}).get("start", 0)) + int(spec.get("replicas", 1))
    return False
