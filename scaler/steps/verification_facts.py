"""What a cluster has that a proof depends on: DNS, a StorageClass, a policy engine, load balancers, user namespaces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scaler.checks.join import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.gateways.kube import Kube

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# DaemonSets that see to NetworkPolicies, as their projects name them.
_ENGINES = (
    "antrea-agent",
    "calico-node",
    "canal",
    "cilium",
    "kube-network-policies",
    "kube-router",
    "ovnkube-node",
    "terway",
    "weave-net",
)


def read(kube: Kube, *, version: str, namespace: str, domain: str, dns_ip: str, outside: Sequence[str]) -> Facts:
    """Ask the API for all of it; ``dns_ip`` is where the inventory says that DNS is, if it says so."""
    told = json.loads(kube.call(["get", "storageclasses,services,daemonsets.apps,nodes", "-A", "-o", "json"]))
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for each in told["items"]:
        by_kind.setdefault(each["kind"], []).append(each)
    services = by_kind.get("Service", [])
    return Facts(
        version=version,
        namespace=namespace,
        domain=domain,
        dns=_first(_name(each) for each in services if _is_dns(each, dns_ip)),
        outside=tuple(outside),
        storage_class=_first(_name(each) for each in by_kind.get("StorageClass", []) if _is_default(each)),
        policy_engine=_first(_name(each) for each in by_kind.get("DaemonSet", []) if _name(each) in _ENGINES),
        balancer=_first(_name(each) for each in services if _is_balanced(each)),
        user_namespaces=frozenset(_name(each) for each in by_kind.get("Node", []) if _maps_users(each)),
    )


def _first(names: Iterable[str]) -> str:
    return next(iter(names), "")


def _name(told: dict[str, Any]) -> str:
    return str(told["metadata"]["name"])


def _is_dns(service: dict[str, Any], dns_ip: str) -> bool:
    if dns_ip:
        return bool(service["spec"].get("clusterIP") == dns_ip)
    return service["metadata"].get("labels", {}).get("k8s-app") in {"kube-dns", "coredns"}


def _is_default(storage_class: dict[str, Any]) -> bool:
    return bool(storage_class["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")


def _is_balanced(service: dict[str, Any]) -> bool:
    status = service.get("status", {}).get("loadBalancer", {})
    return service["spec"].get("type") == "LoadBalancer" and bool(status.get("ingress"))


def _maps_users(node: dict[str, Any]) -> bool:
    handlers = node.get("status", {}).get("runtimeHandlers") or []
    return any(each.get("name", "") == "" and each.get("features", {}).get("userNamespaces") for each in handlers)
