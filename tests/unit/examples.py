"""Values that the tests of several folders begin from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scaler.model.facts import HostFacts, Link, Reach, Space
from scaler.model.inventory import Cluster, Connection, Host, Settings
from scaler.model.network import MODULES, PROGRAMS
from scaler.model.state import ClusterState, Node

SETTINGS: dict[str, Any] = {
    "cluster_name": "prod",
    "kubernetes_version": "1.20.2",
    "etcd_version": "3.4.23",
    "api_endpoint": "192.0.2.10:6443",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/16",
    "cluster_dns": "10.96.0.10",
    "pki_dir": "/pki",
    "admin_kubeconfig": "/admin",
    "binaries_manifest": "/manifest",
    "known_hosts": "/known_hosts",
}
MACHINE = "0123456789abcdef0123456789abcdef"


def settings(**changes: object) -> Settings:
    return Settings.model_validate({**SETTINGS, **changes})


def host(name: str, number: int) -> Host:
    return Host(name=name, connection=Connection(address=f"192.0.2.{number}"))


M1, LB1, W1, N1, N2 = host("m1", 11), host("lb1", 10), host("w1", 21), host("n1", 31), host("n2", 32)


def cluster(**changes: Any) -> Cluster:
    groups = {"masters": (M1,), "etcd": (M1,), "loadbalancers": (LB1,), "workers": (W1,), "standby": (N1, N2)}
    place = {"directory": Path("/inv"), "hosts_file": Path("/inv/hosts.yml"), "hosts_digest": ""}
    return Cluster(**{"settings": settings(), **groups, **place, **changes})


def node(name: str, address: str, **more: Any) -> Node:
    status = {
        "conditions": [{"type": "Ready", "status": "True" if more.get("ready", True) else "False", "message": "why"}],
        "addresses": [{"type": "InternalIP", "address": address}],
        "nodeInfo": {"machineID": more.get("machine", f"{name:0<32}"), "systemUUID": more.get("uuid", "")},
    }
    metadata = {"name": name, "annotations": more.get("annotations", {})}
    spec = {"podCIDR": more.get("cidr")}
    return Node.model_validate({"metadata": metadata, "spec": spec, "status": status})


def state(*nodes: Node, version: str = "1.20.2") -> ClusterState:
    return ClusterState(server_version=version, nodes=nodes)


def facts(**changes: Any) -> HostFacts:
    good: dict[str, Any] = {
        "hostname": "n1",
        "machine_id": MACHINE,
        "product_uuid": "6b1e",
        "boot_id": "b",
        "macs": ("02:00:00:00:00:01",),
        "addresses": ("127.0.0.1", "192.0.2.31"),
        "arch": "x86_64",
        "os_id": "debian",
        "os_version": "12",
        "kernel": "6.1.0",
        "python": "3.11.2",
        "systemd": True,
        "time": 0.0,
        "cgroup": 2,
        "controllers": ("cpu", "cpuset", "memory", "pids"),
        "swaps": (),
        "filesystems": ("ext4", "overlay"),
        "sysctls": {"net.ipv4.ip_forward": "0", "net.bridge.bridge-nf-call-iptables": "1"},
        "listeners": (),
        "spaces": (Space(path="/var/lib/kubelet", free=2 << 30, writable=True),),
        "leftovers": (),
        "ca_digest": "",
        "receipt": {},
        "containerd": "1.6.20~ds1",
        "routes": ("default", "192.0.2.0/24"),
        "reach": (Reach(endpoint="192.0.2.10:6443"), Reach(endpoint="192.0.2.11:6443")),
        "resolv_conf": True,
        "modules": dict.fromkeys(MODULES, "there"),
        "programs": tuple(PROGRAMS),
        "links": (Link(name="eth0", mtu=1500, addresses=("192.0.2.31/24",)),),
    }
    return HostFacts(**{**good, **changes})
