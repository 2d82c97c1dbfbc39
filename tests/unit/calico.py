"""Calico's manifests in the shapes that users have them, as the objects of its ways."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]
GROUP = "crd.projectcalico.org/v1"


def made(kind: str, name: str, spec: JsonObject) -> JsonObject:
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec}


def config(backend: str = "bird", mtu: str = "0", **more: str) -> JsonObject:
    data = {"typha_service_name": "none", "calico_backend": backend, "veth_mtu": mtu, **more}
    meta = {"name": "calico-config", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def daemonset(version: str = "v3.26.4", namespace: str = "kube-system", **environment: str) -> JsonObject:
    """Return calico-node as its manifest has it: the backend by reference to calico-config, unless given."""
    reference = {"configMapKeyRef": {"name": "calico-config", "key": "calico_backend"}}
    env: list[JsonObject] = [{"name": name, "value": value} for name, value in environment.items()]
    if "ETCD_ENDPOINTS" not in environment:
        env.append({"name": "DATASTORE_TYPE", "value": "kubernetes"})
    if "CALICO_NETWORKING_BACKEND" not in environment:
        env.append({"name": "CALICO_NETWORKING_BACKEND", "valueFrom": reference})
    containers = [{"name": "calico-node", "image": f"docker.io/calico/node:{version}", "env": env}]
    labels = {"k8s-app": "calico-node"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def pool(cidr: str = "10.244.0.0/16", *, ipip: str = "Never", vxlan: str = "Never", **more: Any) -> JsonObject:
    spec = {"cidr": cidr, "ipipMode": ipip, "vxlanMode": vxlan, "natOutgoing": True, "blockSize": 26, **more}
    return made("IPPool", f"pool-{cidr.replace('.', '-').replace('/', '-')}", {"nodeSelector": "all()", **spec})


def bgp(*, mesh: bool, number: int = 64512) -> JsonObject:
    return made("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": mesh, "asNumber": number})


def felix(**more: Any) -> JsonObject:
    return made("FelixConfiguration", "default", {"bpfLogLevel": "", "logSeverityScreen": "Info", **more})


def peer(name: str, **spec: Any) -> JsonObject:
    return made("BGPPeer", name, spec)


def block(node: str, cidr: str, *users: str) -> list[JsonObject]:
    """Return a node's block of addresses, its affinity, and the handles of pods on ``users`` that have one of it."""
    dashed = cidr.replace(".", "-").replace("/", "-")
    attributes = [
        {
            "handle_id": f"k8s-pod-network.{at}{user}",
            "secondary": {"namespace": "default", "node": user, "pod": f"p{at}"},
        }
        for at, user in enumerate(users)
    ]
    allocations: list[int | None] = [*range(len(users)), *[None] * (64 - len(users))]
    spec = {
        "affinity": f"host:{node}",
        "allocations": allocations,
        "attributes": attributes,
        "cidr": cidr,
        "deleted": False,
        "strictAffinity": False,
        "unallocated": list(range(len(users), 64)),
    }
    affinity = {"cidr": cidr, "deleted": "false", "node": node, "state": "confirmed"}
    handles = [
        made(
            "IPAMHandle", str(each["handle_id"]), {"block": {cidr: 1}, "deleted": False, "handleID": each["handle_id"]}
        )
        for each in attributes
    ]
    return [made("IPAMBlock", dashed, spec), made("BlockAffinity", f"{node}-{dashed}", affinity), *handles]
