from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaler import assets
from scaler.gateways.templates import render
from scaler.model import versions

GOLDEN = Path(__file__).parent
UPDATE = "SCALER_UPDATE_GOLDEN"
MINORS = [f"1.{minor}" for minor in range(20, 38)]
UNITS = {
    "kubelet": "kubelet/kubelet.service",
    "kube-proxy": "kube-proxy/kube-proxy.service",
    "kube-apiserver": "kube-apiserver/kube-apiserver.service",
    "kube-controller-manager": "kube-controller-manager/kube-controller-manager.service",
    "kube-scheduler": "kube-scheduler/kube-scheduler.service",
}
FILES = [
    *UNITS.values(),
    "kubelet/config.yaml",
    "kube-proxy/config.yaml",
    "kube-apiserver/audit-policy.yaml",
    "kube-apiserver/kube-apiserver.env",
    "bird/bird.conf",
    "bird/pod-bird.service",
    "containerd/config.toml",
    "containerd/containerd.service",
    "etcd/etcd.yaml",
    "etcd/etcd.service",
    "haproxy/haproxy.cfg",
    "host/90-kubernetes.conf",
    "host/modules.conf",
    "images/scaler-images.service",
    "keepalived/keepalived.conf",
    "kube-lb/haproxy.cfg",
    "kube-lb/kube-lb.service",
    "nginx/nginx.conf",
    "routed/10-routed.conflist",
    "routed/pod-routes.service",
]
VALUES: dict[str, Any] = {
    "bin_dir": "/usr/local/bin",
    "bird_dir": "/usr/sbin",
    "cgroup_driver": "systemd",
    "cluster_dns": "10.96.0.10",
    "cluster_domain": "cluster.local",
    "cluster_name": "prod",
    "cni_as_number": 64512,
    "cni_bin_dir": "/opt/cni/bin",
    "cni_routing": "static",
    "containerd_restrict_oom_score_adj": False,
    "etcd_initial_cluster": "m1=https://10.0.0.1:2380",
    "etcd_initial_cluster_state": "new",
    "haproxy_maxconn": 20000,
    "host_modules": ["overlay", "br_netfilter"],
    "host_sysctls": ["vm.max_map_count = 262144"],
    "images": ["images/v1.36/linux-amd64/busybox.tar"],
    "images_ctr": "/usr/bin/ctr",
    "keepalived_interface": "eth0",
    "keepalived_peers": ["10.0.0.6"],
    "keepalived_prefix": 32,
    "keepalived_priority": 100,
    "keepalived_python": "/usr/bin/python3",
    "kube_apiserver_anonymous_auth": True,
    "kube_apiserver_etcd_servers": ["https://10.0.0.1:2379"],
    "kube_apiserver_issuer": "https://kubernetes.default.svc.cluster.local",
    "kube_lb_maxconn": 4000,
    "kube_proxy_conntrack_max_per_core": 32768,
    "kube_proxy_conntrack_min": 131072,
    "kube_proxy_ipvs_scheduler": "",
    "kube_proxy_mode": "",
    "kubelet_environment": ["AWS_EC2_METADATA_DISABLED=true"],
    "kubelet_max_pods": 110,
    "kubelet_status_seconds": 4,
    "kubelet_resolv_conf": "/etc/resolv.conf",
    "lb_bind": "10.0.0.5:6443",
    "lb_masters": [{"name": "m1", "address": "10.0.0.1"}],
    "local_api_port": 6443,
    "nginx_worker_connections": 4096,
    "node_ip": "10.0.0.11",
    "node_name": "n1",
    "node_pod_cidr": "10.244.1.0/24",
    "pause_image": "registry.k8s.io/pause:3.9",
    "pod_cidr": "10.244.0.0/16",
    "pod_cidr_node_mask": 24,
    "pod_routes_python": "/usr/bin/python3",
    "service_cidr": "10.96.0.0/16",
    "vip": "10.0.0.100",
    "vrrp_router_id": 117,
}


def rendered(file: str, minor: str, **changes: Any) -> str:
    return render(f"{file}.j2", kubernetes_version=f"{minor}.0", **{**VALUES, **changes})


def golden(file: str, minor: str) -> Path | None:
    """Return the golden file that holds for ``minor``: that of the newest minor which is not newer."""
    until = MINORS[: MINORS.index(minor) + 1]
    return next((path for each in reversed(until) if (path := GOLDEN / each / file).exists()), None)


@pytest.fixture(scope="session", autouse=True)
def updated() -> None:
    """Write the golden files anew where asked to; a minor has a file only where it differs from the one before."""
    if not os.environ.get(UPDATE):
        return
    for file in FILES:
        before = ""
        for minor in MINORS:
            text, path = rendered(file, minor), GOLDEN / minor / file
            path.unlink(missing_ok=True)
            if text != before:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            before = text


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("file", FILES)
def test_a_file_is_rendered_as_it_always_was(file: str, minor: str) -> None:
    path = golden(file, minor)
    assert path is not None, f"no golden file; write it with {UPDATE}=1"
    assert rendered(file, minor) == path.read_text(encoding="utf-8"), f"{path}: look at the change, then {UPDATE}=1"


def test_there_is_no_golden_file_that_nobody_renders() -> None:
    found = {path.relative_to(path.parents[1]).as_posix() for path in GOLDEN.glob("1.*/*/*")}
    assert found == set(FILES)


def test_every_template_with_flags_or_fields_has_a_golden_file() -> None:
    secrets = {"kubeconfig.j2", "kube-apiserver/encryption.yaml.j2"}
    found = {path.relative_to(assets.TEMPLATES).as_posix() for path in assets.TEMPLATES.rglob("*.j2")}
    assert found - secrets == {f"{file}.j2" for file in FILES}


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("component", UNITS)
def test_no_flag_of_a_unit_is_one_that_its_version_removed(component: str, minor: str) -> None:
    flags = re.findall(r"(?<=\s)--([a-z0-9-]+)", rendered(UNITS[component], minor))
    assert flags
    assert [flag for flag in flags if not versions.has_flag(f"{minor}.0", component, flag)] == []


@pytest.mark.parametrize("component", UNITS)
def test_no_flag_of_a_unit_is_given_twice(component: str) -> None:
    flags = re.findall(r"(?<=\s)--([a-z0-9-]+)", rendered(UNITS[component], "1.20"))
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("minor", MINORS)
def test_every_field_of_the_kubelets_configuration_is_one_that_its_version_knows(minor: str) -> None:
    told = YAML(typ="safe", pure=True).load(rendered("kubelet/config.yaml", minor))
    assert [field for field in told if not versions.has_field(f"{minor}.0", "KubeletConfiguration", field)] == []


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("mode", ["", "iptables", "ipvs", "nftables"])
def test_kube_proxy_is_told_its_mode_with_what_that_takes(mode: str, minor: str) -> None:
    text = rendered("kube-proxy/config.yaml", minor, kube_proxy_mode=mode)
    told = YAML(typ="safe", pure=True).load(text)
    assert told["mode"] == (mode or "iptables")
    assert told.get("ipvs") == ({"scheduler": "rr"} if mode == "ipvs" else None)
    gated = mode == "nftables" and minor in {"1.29", "1.30"}
    assert told.get("featureGates") == ({"NFTablesProxyMode": True} if gated else None)


@pytest.mark.parametrize("routing", ["bgp-mesh", "bgp-reflector"])
def test_routes_are_followed_for_bird_where_it_tells_them(routing: str) -> None:
    unit = rendered("routed/pod-routes.service", "1.20", cni_routing=routing)
    assert f"--routing={routing} --as-number=64512 --birdc=/usr/sbin/birdc\n" in unit
    assert "RuntimeDirectory=pod-routes\n" in unit
    assert "--routing" not in rendered("routed/pod-routes.service", "1.20")


@pytest.mark.parametrize("minor", MINORS)
def test_the_kubelet_is_told_its_runtimes_endpoint_once(minor: str) -> None:
    unit, config = rendered("kubelet/kubelet.service", minor), rendered("kubelet/config.yaml", minor)
    assert ("--container-runtime-endpoint=" in unit) != ("containerRuntimeEndpoint:" in config)


@pytest.mark.parametrize("version", ["3.4.13", "3.5.0", "3.6.0", "3.7.0"])
def test_no_option_of_etcd_is_one_that_its_version_removed(version: str) -> None:
    told = YAML(typ="safe", pure=True).load(rendered("etcd/etcd.yaml", "1.20"))
    assert [option for option in told if not versions.has_flag(version, "etcd", option)] == []


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith((".yaml", ".conflist"))])
def test_a_file_of_yaml_or_json_can_be_read(file: str) -> None:
    assert isinstance(YAML(typ="safe", pure=True).load(rendered(file, "1.20")), dict)
