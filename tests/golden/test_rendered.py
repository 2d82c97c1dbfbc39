from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaler import assets
from scaler.checks import lint
from scaler.gateways.templates import render
from scaler.model import versions
from scaler.model.components import Machine, Text
from scaler.plan import components, config_files

GOLDEN = Path(__file__).parent
UPDATE = "SCALER_UPDATE_GOLDEN"
# What runs where scaler runs is no host's: Ansible renders none of it, and no version is in it.
OF_THE_CONTROLLER = ("autoscaler/", "job/")
MINORS = [f"1.{minor}" for minor in range(20, 38)]
# What a file's text hangs on, where that is not Kubernetes: the variable of its version, and the versions.
AXES = {
    "etcd/etcd.yaml": ("etcd_version", ["3.4", "3.5", "3.6", "3.7"]),
    "etcd/etcd.service": ("etcd_version", ["3.4", "3.5", "3.6", "3.7"]),
    "containerd/config.toml": ("containerd_version", ["1.5", "1.6", "1.7", "2.0", "2.1", "2.2", "2.3"]),
    "containerd/containerd.service": ("containerd_version", ["1.5", "1.6", "1.7", "2.0", "2.1", "2.2", "2.3"]),
}
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
CASES = [(file, minor) for file in FILES for minor in (AXES[file][1] if file in AXES else MINORS)]
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
    "nginx_modules": "/etc/nginx/modules-enabled/*.conf",
    "nginx_user": "www-data",
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


def axis(file: str) -> tuple[str, list[str]]:
    """Return the variable whose version decides a file's text, and the minors it has."""
    return AXES.get(file, ("kubernetes_version", MINORS))


def place(file: str, minor: str) -> Path:
    """Return where the golden file of one minor would be, like ``1.20/…`` or ``etcd-3.4/…``."""
    return GOLDEN / (f"{file.partition('/')[0]}-{minor}" if file in AXES else minor) / file


def rendered(file: str, minor: str, **changes: Any) -> str:
    versions_told = {"kubernetes_version": "1.20.0", "etcd_version": "3.4.0", "containerd_version": ""}
    return render(f"{file}.j2", **{**VALUES, **versions_told, axis(file)[0]: f"{minor}.0", **changes})


def golden(file: str, minor: str) -> Path | None:
    """Return the golden file that holds for ``minor``: that of the newest minor which is not newer."""
    minors = axis(file)[1]
    until = minors[: minors.index(minor) + 1]
    return next((path for each in reversed(until) if (path := place(file, each)).exists()), None)


@pytest.fixture(scope="session", autouse=True)
def updated() -> None:
    """Write the golden files anew where asked to; a minor has a file only where it differs from the one before."""
    if not os.environ.get(UPDATE):
        return
    for file in FILES:
        before = ""
        for minor in axis(file)[1]:
            text, path = rendered(file, minor), place(file, minor)
            path.unlink(missing_ok=True)
            if text != before:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            before = text


@pytest.mark.parametrize(("file", "minor"), CASES)
def test_a_file_is_rendered_as_it_always_was(file: str, minor: str) -> None:
    path = golden(file, minor)
    assert path is not None, f"no golden file; write it with {UPDATE}=1"
    assert rendered(file, minor) == path.read_text(encoding="utf-8"), f"{path}: look at the change, then {UPDATE}=1"


def test_there_is_no_golden_file_that_nobody_renders() -> None:
    found = {path.relative_to(path.parents[1]).as_posix() for path in GOLDEN.glob("*[0-9]/*/*")}
    assert found == set(FILES)


def test_every_template_with_flags_or_fields_has_a_golden_file() -> None:
    secrets = {"kubeconfig.j2", "kube-apiserver/encryption.yaml.j2"}
    found = {path.relative_to(assets.TEMPLATES).as_posix() for path in assets.TEMPLATES.rglob("*.j2")}
    on_hosts = {name for name in found if not name.startswith(OF_THE_CONTROLLER)}
    assert on_hosts - secrets == {f"{file}.j2" for file in FILES}


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
@pytest.mark.parametrize("file", ["kubelet/config.yaml", "kube-proxy/config.yaml"])
def test_every_field_of_a_configuration_is_one_that_its_version_knows(file: str, minor: str) -> None:
    config = config_files.read_yaml(file, rendered(file, minor))
    assert config.fields
    assert [f.name for f in config.fields if not versions.has_field(f"{minor}.0", config.kind, f.name)] == []


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("name", UNITS)
def test_lint_has_nothing_to_say_of_what_is_rendered_for_a_version(name: str, minor: str) -> None:
    configs = {
        "/var/lib/kubelet/config.yaml": "kubelet/config.yaml",
        "/var/lib/kube-proxy/config.yaml": "kube-proxy/config.yaml",
    }
    component = components.of_unit(
        name,
        [Text(path=UNITS[name], text=rendered(UNITS[name], minor))],
        environment={"/etc/kubernetes/kube-apiserver.env": rendered("kube-apiserver/kube-apiserver.env", minor)},
        configs={path: rendered(file, minor) for path, file in configs.items()},
    )
    at = f"{minor}.0"
    found = lint.examine("m1", lint.Subject(component, at, at, at, Machine(cgroup=2, kernel="6.1.0")))
    # The kubelet of these three has its endpoint by a flag alone, and warns that the flag beside it will go.
    known = {"--container-runtime"} if minor in {"1.24", "1.25", "1.26"} else set()
    assert [f.message for f in found if f.message.split()[0] not in known] == []
    assert len(component.flags) > 1


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


@pytest.mark.parametrize("minor", AXES["etcd/etcd.yaml"][1])
def test_no_option_of_etcd_is_one_that_its_version_removed(minor: str) -> None:
    told = YAML(typ="safe", pure=True).load(rendered("etcd/etcd.yaml", minor))
    assert [option for option in told if not versions.has_flag(f"{minor}.0", "etcd", option)] == []


@pytest.mark.parametrize("minor", AXES["containerd/config.toml"][1])
def test_containerds_file_is_toml_that_its_version_reads_without_a_word(minor: str) -> None:
    text = rendered("containerd/config.toml", minor)
    told = tomllib.loads(text)
    assert told["version"] == (3 if minor.startswith("2") else 2)
    (plugin,) = [p for name, p in told["plugins"].items() if "runtimes" in p.get("containerd", {})]
    assert plugin["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": True}
    component = components.of_unit("containerd", [], environment={}, configs={"/etc/containerd/config.toml": text})
    assert lint.examine("n1", lint.Subject(component, f"{minor}.0", f"{minor}.0", "1.30.0")) == []


def test_a_containerd_of_the_distribution_gets_a_file_that_all_versions_read() -> None:
    assert render("containerd/config.toml.j2", **{**VALUES, "containerd_version": ""}).startswith("version = 2")


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith((".yaml", ".conflist"))])
def test_a_file_of_yaml_or_json_can_be_read(file: str) -> None:
    assert isinstance(YAML(typ="safe", pure=True).load(rendered(file, axis(file)[1][0])), dict)
