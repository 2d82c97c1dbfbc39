"""Each row of the matrix that people stumble over most, planted in a unit or a file, and found with its line."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from scaler.checks import found, lint
from scaler.model.components import Machine, Text
from scaler.plan import components

HOST = Machine(cgroup=2, kernel="6.1.0", containerd="1.7.28", runc="1.1.5")
REQUIRED = (
    "--service-account-issuer=i",
    "--service-account-signing-key-file=k",
    "--service-account-key-file=p",
    "--authentication-kubeconfig=a",
    "--authorization-kubeconfig=b",
)
KUBELET = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
PROXY = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
SCHEDULER = "kind: KubeSchedulerConfiguration\napiVersion: kubescheduler.config.k8s.io/"


def unit(name: str, *flags: str) -> str:
    """Return a unit with a flag a line, the first of ``flags`` in line 3."""
    every = [*flags, *(REQUIRED if name.startswith("kube-") else ())]
    return "\n".join(["[Service]", f"ExecStart=/usr/bin/{name} \\", *(f"  {flag} \\" for flag in every), "", ""])


def said(
    name: str, text: str, at: str, *, now: str = "", config: str = "", machine: Machine | None = HOST, etc: str = ""
) -> list[lint.LintFinding]:
    """Return what is found in a unit, or in a configuration beside it, at version ``at``."""
    configs = {"/config": config} if config else {}
    made = components.of_unit(name, [Text(path="/unit", text=text)], environment={}, configs=configs)
    return lint.examine("n1", lint.Subject(made, at, now or at, etc or at, machine))


class Row(NamedTuple):
    """A setting in line 3, the last version that is content with it, the first that is not, and what is said."""

    component: str
    flag: str
    until: str
    since: str
    message: str
    error: bool = True


ROWS = [
    Row("kubelet", "--container-runtime=remote", "1.23", "1.27", "--container-runtime is gone"),
    Row("kubelet", "--feature-gates=BoundServiceAccountTokenVolume=true", "1.22", "1.23", "is gone from 1.23"),
    Row("kubelet", "--pod-infra-container-image=pause", "1.23", "1.35", "--pod-infra-container-image is gone"),
    Row("kubelet", "--pod-infra-container-image=pause", "1.23", "1.24", "is deprecated since 1.24", error=False),
    Row("kubelet", "--logtostderr=true", "1.22", "1.26", "--logtostderr is gone"),
    Row("kube-apiserver", "--logtostderr=true", "1.22", "1.26", "--logtostderr is gone"),
    Row("kube-proxy", "--log-dir=/var/log", "1.22", "1.26", "--log-dir is gone"),
    Row("kubelet", "--network-plugin=cni", "1.19", "1.24", "--network-plugin is gone"),
    Row("kube-apiserver", "--insecure-port=0", "1.19", "1.24", "--insecure-port is gone"),
    Row("kube-controller-manager", "--port=0", "1.21", "1.24", "--port is gone"),
    Row("kube-scheduler", "--port=0", "1.22", "1.24", "--port is gone"),
    Row("kube-controller-manager", "--pod-eviction-timeout=1m", "1.25", "1.27", "--pod-eviction-timeout is gone"),
    Row("kubelet", "--feature-gates=A=true,SeccompDefault=true", "1.28", "1.29", "gate SeccompDefault is gone"),
    Row("kube-apiserver", "--feature-gates=RemoveSelfLink=false", "1.23", "1.24", "cannot be switched off"),
    Row("kube-apiserver", "--enable-admission-plugins=NodeRestriction,PodSecurityPolicy", "1.20", "1.25", "not taken"),
    Row("kube-apiserver", "--cloud-provider=aws", "1.19", "1.33", "--cloud-provider is gone"),
    Row("kubelet", "--cloud-provider=aws", "1.19", "1.32", "--cloud-provider aws: not taken"),
    Row("kube-proxy", "--proxy-mode=ipvs", "1.34", "1.35", "deprecated since 1.35", error=False),
    Row("kube-proxy", "--proxy-mode=userspace", "1.22", "1.26", "userspace: not taken"),
    Row("etcd", "--experimental-initial-corrupt-check=true", "3.5", "3.7", "is gone from 3.7"),
    Row("etcd", "--experimental-initial-corrupt-check=true", "3.5", "3.6", "deprecated since 3.6", error=False),
    Row("etcd", "--enable-v2=true", "3.4", "3.6", "--enable-v2 is gone"),
    Row("etcd", "-enable-v2", "3.4", "3.6", "--enable-v2 is gone"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.component}{row.flag.partition('=')[0]}-{row.since}")
def test_a_flag_is_found_from_its_version_on_with_its_line(row: Row) -> None:
    text = unit(row.component, row.flag)
    found = [f for f in said(row.component, text, row.since, config="") if row.message in f.message]
    assert [(f.file, f.line, f.error) for f in found] == [("/unit", 3, row.error)]
    before = said(row.component, text, row.until)
    assert [f.message for f in before if f.line == 3] == []


@pytest.mark.parametrize(
    ("name", "text", "at", "line", "message"),
    [
        ("kubelet", f"{KUBELET}containerRuntimeEndpoint: unix:///x\n", "1.26", 3, "known from 1.27 on only"),
        ("kubelet", f"{KUBELET}clusterDns: [a]\n", "1.30", 3, "no version knows the field clusterDns"),
        ("kubelet", f"{KUBELET}featureGates:\n  NodeLease: true\n", "1.23", 4, "gate NodeLease is gone"),
        ("kubelet", f"{KUBELET}runOnce: true\n", "1.32", 3, "runOnce true: not taken from 1.32"),
        ("kubelet", f"{KUBELET}a: [\n", "1.30", 4, "is not YAML"),
        ("kubelet", KUBELET.replace("v1beta1", "v1"), "1.30", 1, "no version knows kubelet.config.k8s.io/v1"),
        ("kubelet", PROXY, "1.30", 0, "kubelet reads KubeletConfiguration"),
        ("kube-proxy", f"{PROXY}mode: nftables\n", "1.28", 3, "nftables: taken from 1.29 on only"),
        ("kube-proxy", f"{PROXY}mode: ipvs\nconntrack:\n  tcpBeLiberal: true\n", "1.28", 5, "known from 1.29"),
        ("kube-scheduler", f"{SCHEDULER}v1beta2\n", "1.28", 2, "v1beta2 is gone from 1.28 on"),
        ("kube-scheduler", f"{SCHEDULER}v1\n", "1.24", 2, "v1 is known from 1.25 on only"),
        ("kube-scheduler", f"{SCHEDULER}v1beta3\nhealthzBindAddress: x\n", "1.26", 3, "read strictly"),
        ("kube-scheduler", f"{SCHEDULER}v1\nparalelism: 4\n", "1.30", 3, "no version knows the field paralelism"),
    ],
)
def test_a_file_is_judged_by_its_kind(name: str, text: str, at: str, line: int, message: str) -> None:
    found = [f for f in said(name, unit(name, "--config=/config"), at, config=text) if f.error and f.file == "/config"]
    assert [(f.line, message in f.message) for f in found] == [(line, True)], found


def test_the_scheduler_starts_with_the_api_that_its_version_has() -> None:
    for at, api in (("1.22", "v1beta1"), ("1.24", "v1beta3"), ("1.30", "v1")):
        found = said("kube-scheduler", unit("kube-scheduler", "--config=/config"), at, config=f"{SCHEDULER}{api}\n")
        assert [f.message for f in found if f.error] == []


@pytest.mark.parametrize(
    ("flags", "at", "missing"),
    [
        (["--container-runtime-endpoint=unix:///x"], "1.23", ["--container-runtime"]),
        (["--container-runtime-endpoint=unix:///x", "--container-runtime=remote"], "1.23", []),
        (["--kubeconfig=/k"], "1.23", []),
        (["--kubeconfig=/k"], "1.24", ["--container-runtime-endpoint"]),
        (["--kubeconfig=/k"], "1.27", []),
    ],
)
def test_a_kubelet_is_told_its_runtime_as_its_version_wants_it(flags: list[str], at: str, missing: list[str]) -> None:
    found = [f for f in said("kubelet", unit("kubelet", *flags), at) if f.check == "required"]
    assert [f.message.split()[0] for f in found] == missing


def test_an_api_server_needs_the_issuer_and_both_keys() -> None:
    text = "[Service]\nExecStart=/usr/bin/kube-apiserver --v=2\n"
    found = [f.message.split()[0] for f in said("kube-apiserver", text, "1.20") if f.check == "required"]
    assert found == ["--service-account-issuer", "--service-account-signing-key-file", "--service-account-key-file"]


@pytest.mark.parametrize(
    ("at", "config", "cgroup", "refused"),
    [
        ("1.34", "", 1, False),
        ("1.35", "", 1, True),
        ("1.35", "failCgroupV1: false\n", 1, False),
        ("1.35", "", 2, False),
    ],
)
def test_cgroup_v1_ends_a_kubelet_from_1_35_on(at: str, config: str, cgroup: int, *, refused: bool) -> None:
    machine = HOST.model_copy(update={"cgroup": cgroup})
    text = unit("kubelet", "--config=/config")
    found = said("kubelet", text, at, config=f"{KUBELET}{config}", machine=machine)
    assert [f.check for f in found if f.error] == (["defaults"] if refused else [])


def test_a_proxy_mode_that_is_not_written_down_warns_from_1_37_on() -> None:
    text = unit("kube-proxy", "--config=/config")
    assert [f.check for f in said("kube-proxy", text, "1.36", config=PROXY)] == []
    (finding,) = said("kube-proxy", text, "1.37", config=PROXY)
    assert (finding.check, finding.error, finding.file) == ("defaults", False, "/config")
    assert said("kube-proxy", text, "1.37", config=f"{PROXY}mode: iptables\n") == []


def test_a_changed_default_is_told_to_who_comes_from_before_only() -> None:
    text = unit("kube-apiserver", "--audit-log-path=/a")
    assert [f.since for f in said("kube-apiserver", text, "1.36", now="1.35")] == ["1.36", "1.36"]
    assert said("kube-apiserver", text, "1.36") == []
    assert said("kube-apiserver", unit("kube-apiserver"), "1.36", now="1.35") == []


@pytest.mark.parametrize(
    ("containerd", "at", "errors", "warnings"),
    [
        ("1.6.20", "1.20", [], []),
        ("2.0.1", "1.22", ["CRI v1alpha2"], []),
        ("2.0.1", "1.23", [], []),
        ("1.5.11", "1.26", ["older"], []),
        ("1.7.2", "1.30", [], ["newer patches"]),
        ("1.7.13", "1.30", [], []),
        ("", "1.30", [], []),
    ],
)
def test_containerd_has_bounds_on_both_sides(containerd: str, at: str, errors: list[str], warnings: list[str]) -> None:
    machine = HOST.model_copy(update={"containerd": containerd})
    text = unit("kubelet", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock")
    found = [f for f in said("kubelet", text, at, machine=machine) if f.check == "runtime"]
    for wanted, told in ((errors, [f for f in found if f.error]), (warnings, [f for f in found if not f.error])):
        assert len(told) == len(wanted)
        assert all(words in f.message for words, f in zip(wanted, told, strict=True))


def test_another_runtime_is_not_judged_by_containerds_bounds() -> None:
    machine = HOST.model_copy(update={"containerd": "1.4.0"})
    text = unit("kubelet", "--container-runtime-endpoint=unix:///run/crio/crio.sock")
    assert [f for f in said("kubelet", text, "1.30", machine=machine) if f.check == "runtime"] == []


def test_an_old_runc_does_not_know_cgroup_v2() -> None:
    machine = HOST.model_copy(update={"runc": "0.1.1"})
    assert any("runc 0.1.1" in f.message for f in said("kubelet", unit("kubelet", "--v=2"), "1.20", machine=machine))


@pytest.mark.parametrize(
    ("text", "at", "said_of"),
    [
        ("version = 3\n", "1.7.0", ["version 3"]),
        ("version = 3\n", "2.0.0", []),
        ("version = 2\n[plugins.cri.registry.mirrors]\n", "1.6.0", ["registry.mirrors"]),
        ("version = 3\n[plugins.x.cni]\nbin_dir = '/b'\n", "2.0.0", []),
        ("version = 3\n[plugins.x.cni]\nbin_dir = '/b'\n", "2.1.0", ["cni.bin_dir"]),
        ("version = 3\n[plugins.x.cni]\nbin_dirs = ['/b']\n", "2.0.0", ["cni.bin_dirs"]),
    ],
)
def test_containerds_own_file_has_words_of_its_version(text: str, at: str, said_of: list[str]) -> None:
    made = components.of_unit("containerd", [], environment={}, configs={"/c": text})
    assert [f.message.partition(" is ")[0] for f in lint.examine("n1", lint.Subject(made, at, at, "1.30"))] == said_of


@pytest.mark.parametrize(
    ("label", "refused"),
    [
        ("node-role.kubernetes.io/worker=", True),
        ("kubernetes.io/role=a", True),
        ("topology.kubernetes.io/zone=a", False),
        ("node.kubernetes.io/kind=a", False),
        ("example.com/kind=a", False),
        ("kind=a", False),
    ],
)
def test_a_kubelet_gives_itself_no_label_of_kubernetes_own(label: str, *, refused: bool) -> None:
    found = said("kubelet", unit("kubelet", f"--node-labels=a=b,{label}"), "1.20")
    assert bool([f for f in found if f.check == "labels"]) is refused


@pytest.mark.parametrize(
    ("kernel", "at", "mode", "error"),
    [("5.10.0", "1.30", "nftables", True), ("5.13.1", "1.30", "nftables", None), ("4.19.0", "1.30", "iptables", None)],
)
def test_nftables_needs_its_kernel(kernel: str, at: str, mode: str, *, error: bool | None) -> None:
    machine = HOST.model_copy(update={"kernel": kernel})
    found = said("kube-proxy", unit("kube-proxy", f"--proxy-mode={mode}"), at, machine=machine)
    assert [f.error for f in found if f.check == "host"] == ([] if error is None else [error])


def test_an_old_kernel_is_a_warning_for_the_kubelet() -> None:
    machine = HOST.model_copy(update={"kernel": "5.3.0"})
    found = said("kubelet", unit("kubelet", "--v=2"), "1.34", machine=machine)
    assert [f.error for f in found if f.check == "host"] == [False, False]


def test_etcd_that_is_older_than_its_kubernetes_wants_is_a_warning() -> None:
    found = said("etcd", unit("etcd", "--name=m1"), "3.4.23", etc="1.31.0")
    assert [(f.check, f.error) for f in found] == [("etcd", False)]
    assert said("etcd", unit("etcd", "--name=m1"), "3.4.23", etc="1.28.0") == []


@pytest.mark.parametrize(
    ("version", "warned"),
    [("3.5.0", 0), ("3.5.1", 1), ("3.5.19", 1), ("3.5.26", 0), ("3.6.3", 1), ("3.6.4", 0), ("3.5", 0)],
)
def test_an_etcd_that_may_lose_a_promotion_is_warned_of(version: str, warned: int) -> None:
    found = said("etcd", unit("etcd", "--name=m1"), version, etc="1.28.0")
    assert [(f.check, f.error) for f in found] == [("etcd", False)] * warned


def test_ipvs_that_falls_back_to_nothing_is_told_to_who_comes_from_before() -> None:
    text = unit("kube-proxy", "--proxy-mode=ipvs")
    (finding,) = said("kube-proxy", text, "1.26", now="1.25")
    assert (finding.line, finding.error, "from 1.26 on it ends" in finding.instead) == (3, False, True)
    assert said("kube-proxy", text, "1.26") == []


@pytest.mark.parametrize(
    ("flag", "config", "place"),
    [
        ("--rotate-server-certificates", "", ("/unit", 3)),
        ("--v=2", "serverTLSBootstrap: true\n", ("/config", 3)),
        ("--cert-dir=/elsewhere", "serverTLSBootstrap: true\n", None),
        ("--v=2", "serverTLSBootstrap: false\n", None),
        ("--v=2", "", None),
    ],
)
def test_a_serving_certificate_that_nobody_approved_is_found(
    flag: str, config: str, place: tuple[str, int] | None
) -> None:
    def found(*, serving: bool | None) -> list[lint.LintFinding]:
        machine = HOST.model_copy(update={"serving": serving})
        text = unit("kubelet", flag, "--config=/config")
        told = said("kubelet", text, "1.30", config=f"{KUBELET}{config}", machine=machine)
        return [f for f in told if f.check == "serving"]

    assert [(f.file, f.line, f.error) for f in found(serving=False)] == ([(*place, True)] if place else [])
    assert found(serving=True) == found(serving=None) == []


def test_a_variable_or_an_option_in_its_file_does_not_end_etcd() -> None:
    text = "[Service]\nEnvironment=ETCD_ENABLE_V2=true\nExecStart=/usr/bin/etcd --config-file=/config\n"
    found = said("etcd", text, "3.7.0", config="enable-v2: true\nexperimental-compact-hash-check-enabled: true\n")
    assert [(f.file, f.line, f.error) for f in found] == [
        ("/config", 1, False),
        ("/config", 2, False),
        ("/unit", 2, False),
    ]


def test_every_family_of_rules_has_a_name_of_its_own() -> None:
    names = [check.name for check in found("lint")]
    assert len(names) == len(set(names)) > 8
