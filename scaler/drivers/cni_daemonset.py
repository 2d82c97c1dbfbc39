"""What networks that run as a DaemonSet share: how they are found, what they were started with, whether a pod runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from scaler.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.gateways.kube import JsonObject, Kube
    from scaler.model.inventory import Host
    from scaler.model.state import Node


class DaemonSet(NamedTuple):
    """A DaemonSet: its namespace, its version by its image, and its container's environment, ConfigMaps looked up."""

    name: str
    namespace: str
    version: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()


def find(kube: Kube, name: str, namespaces: Sequence[str], container: str = "") -> DaemonSet:
    """Return the DaemonSet called ``name`` in the first of ``namespaces`` that has it; raises PreflightError."""
    for namespace in namespaces:
        found = kube.get("daemonsets.apps", [name], namespace=namespace)
        if found:
            return _read(kube, found[0], namespace, container)
    raise PreflightError(
        f"there is no DaemonSet {name} in {' or '.join(namespaces)}",
        hint="correct cni in the inventory: it names the network that the cluster has; nothing was touched",
    )


def _read(kube: Kube, told: JsonObject, namespace: str, container: str) -> DaemonSet:
    pods = told["spec"]["template"]["spec"]["containers"]
    main = next((each for each in pods if each["name"] == container), pods[0])
    maps: dict[str, Mapping[str, str]] = {}
    environment = {}
    for each in main.get("env") or ():
        reference = (each.get("valueFrom") or {}).get("configMapKeyRef")
        if reference:
            name = reference["name"]
            maps.setdefault(name, config(kube, name, namespace))
            environment[each["name"]] = maps[name].get(reference["key"], "")
        else:
            environment[each["name"]] = str(each.get("value", ""))
    words = (*(main.get("command") or ()), *(main.get("args") or ()))
    return DaemonSet(told["metadata"]["name"], namespace, version_of(main["image"]), environment, words)


def version_of(image: str) -> str:
    """Return the version in an image's tag (registry:5000/flannel:v0.22.0-amd64@sha256:…), empty where it has none."""
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return tag.removeprefix("v")


def config(kube: Kube, name: str, namespace: str) -> Mapping[str, str]:
    """Return the data of a ConfigMap, nothing where there is none."""
    found = kube.get("configmaps", [name], namespace=namespace)
    return dict(found[0].get("data") or {}) if found else {}


def misplaced(host: Host, address: str, addresses: Mapping[str, str], nodes: Sequence[Node]) -> bool:
    """Tell whether the network has ``host`` at another ``address`` than its own, where the nodes that live have theirs.

    Where they have not, it runs over another interface, and any address will do.
    """
    usual = all(addresses.get(n.name) == n.internal_ip for n in nodes if n.ready and n.name != host.name)
    return address != host.address if usual else not address


def not_running(kube: Kube, daemonset: DaemonSet, node: str) -> str:
    """Say why no pod of ``daemonset`` is Ready on ``node``, empty where one is."""
    argv = ["get", "pods", "-n", daemonset.namespace, f"--field-selector=spec.nodeName={node}", "-o", "json"]
    pods: list[dict[str, Any]] = json.loads(kube.call(argv))["items"]
    for pod in pods:
        owners = pod["metadata"].get("ownerReferences") or ()
        if any(owner["kind"] == "DaemonSet" and owner["name"] == daemonset.name for owner in owners):
            status = pod.get("status", {})
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
            name = pod["metadata"]["name"]
            return "" if ready else f"pod {name} is not Ready (phase {status.get('phase', 'unknown')})"
    return f"no pod of DaemonSet {daemonset.namespace}/{daemonset.name} runs there"
