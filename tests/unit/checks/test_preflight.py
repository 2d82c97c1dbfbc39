from __future__ import annotations

from typing import Any

import pytest

from scaler.checks import found
from scaler.checks.preflight import Subject, examine
from scaler.checks.preflight.kernel import CONTROLLERS
from scaler.model.facts import HostFacts, Listener, Reach, Space
from scaler.model.network import Network
from tests.unit.examples import MACHINE, N1, N2, cluster, facts, node, settings, state

OURS = {"cluster": "prod", "node": "n1", "run": "earlier", "ca": "digest"}


def subject(*, clock: float = 0.0, **changes: Any) -> Subject:
    seen = facts(**{name: value for name, value in changes.items() if name in HostFacts.model_fields})
    return Subject(
        host=changes.get("host", N1),
        facts=seen,
        clock=(clock, 0.1),
        cluster=changes.get("cluster", cluster()),
        state=changes.get("state", state(node("w1", "192.0.2.21"))),
        others=changes.get("others", ()),
        ca_digest="digest",
        network=changes.get("network", Network()),
        becomes=changes.get("becomes", "workers"),
    )


def served(*versions: str) -> tuple[Reach, ...]:
    """Return what a host reaches: the balancer, which tells no version, and a master for each of ``versions``."""
    masters = [Reach(endpoint=f"192.0.2.{n}:6443", version=v) for n, v in enumerate(versions, 11)]
    return Reach(endpoint="192.0.2.10:6443"), *masters


def told(**changes: Any) -> list[tuple[str, str]]:
    return [(f.check, f.message) for f in examine(subject(**changes)) if not f.warning]


def test_a_good_host_has_no_finding() -> None:
    assert examine(subject()) == []


GONE = (Reach(endpoint="192.0.2.10:6443", error="refused"), Reach(endpoint="192.0.2.11:6443"))
NO_MASTER = (Reach(endpoint="192.0.2.10:6443"), Reach(endpoint="192.0.2.11:6443", error="timed out"))
STORE = {"runtime_source": "store", "containerd_version": "2.0.0", "runc_version": "1.1.4"}
IPVS = cluster(settings=settings(kube_proxy_mode="ipvs"))
NFTABLES = cluster(settings=settings(kube_proxy_mode="nftables", kubernetes_version="1.31.2"))
NEWER = cluster(settings=settings(kubernetes_version="1.31.2"))
SAYS_2 = cluster(settings=settings(kubernetes_version="1.31.2", containerd_version="2.0.1"))
OLD_RUNC = cluster(settings=settings(**{**STORE, "containerd_version": "1.6.20", "runc_version": "0.1.1"}))
STORE_TOO_NEW = cluster(settings=settings(**STORE))
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("clock", {"clock": 3600.0}, "3600.0 s ahead of"),
    ("clock", {"clock": -3600.0}, "3600.0 s behind"),
    ("disk", {"spaces": (Space(path="/var/lib/kubelet", free=900 << 20, writable=True),)}, "has 900 MiB free, 1024"),
    ("disk", {"spaces": (Space(path="/etc", free=9 << 30, writable=False),)}, "read-only file system"),
    ("identity", {"machine_id": ""}, "machine-id is empty"),
    ("identity", {"addresses": ("192.0.2.99",)}, "address 192.0.2.31 is not on the host"),
    ("identity", {"state": state(node("n1", "192.0.2.31", machine="f" * 32))}, "node n1 exists and is another machine"),
    ("identity", {"state": state(node("w1", "192.0.2.31"))}, "address 192.0.2.31 is node w1's already"),
    ("identity", {"state": state(node("w1", "192.0.2.21", machine=MACHINE))}, "is also node w1's"),
    ("identity", {"state": state(node("w1", "192.0.2.21", uuid="6B1E"))}, "product_uuid is also node w1's"),
    ("identity", {"others": ((N2, facts(product_uuid="x", macs=())),)}, "machine-id 0123456789abcdef"),
    ("identity", {"others": ((N2, facts(machine_id="x", macs=())),)}, "product_uuid 6b1e is also n2's"),
    ("identity", {"others": ((N2, facts(machine_id="x", product_uuid="x")),)}, "MAC 02:00:00:00:00:01 is also n2's"),
    ("kernel", {"cgroup": 2, "controllers": ("cpu",)}, "lacks cgroup controllers: cpuset, memory, pids"),
    ("kernel", {"cgroup": 1, "cluster": cluster(settings=settings(kubernetes_version="1.35.0"))}, "refuses"),
    ("kernel", {"filesystems": ("ext4",)}, "overlay file system"),
    ("kernel", {"sysctls": {"net.bridge.bridge-nf-call-iptables": "absent"}}, "modprobe br_netfilter"),
    ("kernel", {"sysctls": {"net.ipv4.ip_forward": "read-only"}}, "cannot be written"),
    ("kernel", {"resolv_conf": False}, "/etc/resolv.conf is missing"),
    ("leftovers", {"leftovers": ("/etc/cni/net.d",)}, "leftovers of an earlier installation: /etc/cni/net.d"),
    ("leftovers", {"ca_digest": "another"}, "belongs to another cluster"),
    ("network", {"network": Network(refusals=("it is broken",))}, "it is broken"),
    ("proxy", {"programs": ("conntrack",)}, "iptables is not installed"),
    ("ports", {"listeners": (Listener(port=10250, process="socat"),)}, "port 10250 (kubelet) is taken by socat"),
    ("ports", {"listeners": (Listener(port=10256, process="kube-proxy"),)}, "is taken by kube-proxy"),
    ("proxy", {"kernel": "5.10.0", "cluster": NFTABLES}, "5.13 is needed by kube-proxy's mode nftables"),
    ("proxy", {"programs": ("iptables", "conntrack"), "cluster": IPVS}, "ipset is not installed"),
    ("proxy", {"programs": ("conntrack",), "cluster": NFTABLES}, "nft is not installed"),
    ("skew", {"reach": served("1.20.5", "1.19.9")}, "kubelet 1.20.2 is newer than API server 1.19.9"),
    ("skew", {"reach": served("1.23.0")}, "3 minors older than API server 1.23.0"),
    ("skew", {"reach": served("1.20.0", "1.22.0"), "becomes": "masters"}, "API servers run 1.20 and 1.22"),
    ("reach", {"reach": GONE}, "cannot reach the API through 192.0.2.10:6443: refused"),
    ("reach", {"reach": NO_MASTER}, "cannot reach any master directly"),
    ("routes", {"routes": ("10.244.7.0/24",)}, "overlaps the pod network"),
    ("routes", {"routes": ("10.0.0.0/8",)}, "overlaps the pod network"),
    ("routes", {"routes": ("10.96.0.10",)}, "overlaps the Service network"),
    ("runtime", {"containerd": ""}, "containerd is not installed"),
    ("runtime", {"containerd": "1.4.13"}, "too old"),
    ("runtime", {"containerd": "2.0.1"}, "too new"),
    ("runtime", {"containerd": "?"}, "does not say a version"),
    ("runtime", {"cluster": STORE_TOO_NEW}, "containerd 2.0.0 is too new"),
    ("runtime", {"containerd": "1.7.30", "cluster": SAYS_2}, "its file would be in the other's form"),
    ("runtime", {"cluster": OLD_RUNC}, "runc 0.1.1 does not know"),
    ("swap", {"swaps": ("/dev/zram0",)}, "swap is on: /dev/zram0"),
    ("system", {"arch": "aarch64"}, "is aarch64, the cluster's binaries are amd64"),
    ("system", {"systemd": False}, "does not run systemd"),
    ("system", {"python": "3.6.8"}, "has Python 3.6.8"),
]


@pytest.mark.parametrize(("check", "fault", "message"), FAULTS, ids=[f"{c}-{i}" for i, (c, _, _) in enumerate(FAULTS)])
def test_a_fault_is_found_by_its_check_with_its_reason(check: str, fault: dict[str, Any], message: str) -> None:
    findings = [f for f in examine(subject(**fault)) if f.check == check]
    assert any(message in f.message for f in findings), findings
    assert all(f.host == "n1" and not f.warning for f in findings)
    assert all(f.remedy for f in findings), "a finding without a remedy"


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {check.name for check in found("preflight")} == {check for check, _, _ in FAULTS}


@pytest.mark.parametrize(("offset", "warnings"), [(0.5, 0), (0.7, 1), (1.9, 1), (2.0, 1)])
def test_a_clock_a_little_off_is_only_a_warning(offset: float, warnings: int) -> None:
    findings = examine(subject(clock=offset))
    assert [f.warning for f in findings] == [True] * warnings


def test_a_clock_that_is_not_known_exactly_gets_the_benefit_of_the_doubt() -> None:
    unsure = subject()._replace(clock=(2.3, 0.4))
    assert [f.warning for f in examine(unsure)] == [True]


def test_what_an_unfinished_run_of_ours_left_is_no_leftover() -> None:
    left: dict[str, Any] = {
        "leftovers": ("/var/lib/kubelet/pki",),
        "ca_digest": "digest",
        "listeners": (Listener(port=10250, process="kubelet"),),
        "routes": ("10.244.1.0/24",),
    }
    assert told(**left, receipt=OURS) == []
    assert told(**left, receipt={**OURS, "node": "n9"})
    assert told(**left, receipt={**OURS, "ca": "another"})


def test_a_foreign_process_on_a_port_is_a_fault_also_for_an_unfinished_node() -> None:
    assert told(listeners=(Listener(port=10250, process="socat"),), receipt=OURS)


def test_one_master_that_does_not_answer_is_no_fault_while_another_does() -> None:
    reach = (*NO_MASTER, Reach(endpoint="192.0.2.12:6443"))
    assert told(reach=reach) == []


def test_the_same_machine_may_finish_its_own_node() -> None:
    assert told(state=state(node("n1", "192.0.2.31", machine=MACHINE, uuid="6b1e"))) == []


@pytest.mark.parametrize("mac", ["", "00:00:00:00", "00:00:00:00:00:00", "c0:00:02:1f", "0.0.0.0"])
def test_what_a_tunnel_has_instead_of_a_mac_may_be_on_every_host(mac: str) -> None:
    twin = facts(machine_id="x", product_uuid="x", macs=(mac,))
    assert told(macs=(mac,), others=((N2, twin),)) == []


def test_two_hosts_without_a_machine_id_are_not_told_to_be_one_machine() -> None:
    twin = facts(machine_id="", product_uuid="x", macs=())
    assert [message for _, message in told(machine_id="", others=((N2, twin),))] == ["/etc/machine-id is empty"]


def test_cgroup_v1_serves_a_kubelet_before_1_35() -> None:
    controllers = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer")
    known = cluster(settings=settings(kubernetes_version="1.34.0"))
    assert told(cgroup=1, controllers=controllers, cluster=known, containerd="2.2.0") == []


@pytest.mark.parametrize(
    ("containerd", "good"), [("1.4.99", False), ("1.5.0", True), ("1.7.99", True), ("2.0.0", False), ("2.0", False)]
)
def test_containerd_fits_from_the_lowest_to_below_the_first_too_new(containerd: str, *, good: bool) -> None:
    assert (told(containerd=containerd) == []) is good


@pytest.mark.parametrize(("arch", "named"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_an_architecture_that_the_binaries_are_for_is_no_fault(arch: str, named: str) -> None:
    assert told(arch=arch, cluster=cluster(settings=settings(kubernetes_arch=named))) == []


@pytest.mark.parametrize("arch", ["armv7l", "ppc64le", "riscv64", ""])
def test_an_architecture_without_binaries_is_a_fault(arch: str) -> None:
    assert [check for check, _ in told(arch=arch)] == ["system"]


@pytest.mark.parametrize("python", ["3.8.0", "3.11.2", "4.0.0"])
def test_a_python_that_ansible_can_use_is_no_fault(python: str) -> None:
    assert told(python=python) == []


@pytest.mark.parametrize("port", [10248, 10249, 10250, 10256])
def test_each_port_of_kubelet_and_kube_proxy_must_be_free(port: int) -> None:
    assert [check for check, _ in told(listeners=(Listener(port=port, process="other"),))] == ["ports"]


@pytest.mark.parametrize("port", [22, 111, 10251])
def test_other_ports_are_anybodys(port: int) -> None:
    assert told(listeners=(Listener(port=port, process="other"),)) == []


def test_the_authority_of_another_cluster_is_a_fault_also_with_a_receipt_of_that_cluster() -> None:
    assert told(ca_digest="another", receipt={**OURS, "ca": "another"})


def test_every_fault_of_a_host_is_told_at_once() -> None:
    found_in = {check for check, _ in told(swaps=("/dev/sda2",), systemd=False, resolv_conf=False, containerd="")}
    assert found_in == {"swap", "system", "kernel", "runtime"}


WARNINGS: list[tuple[str, dict[str, Any], str]] = [
    ("kernel", {"cgroup": 1, "controllers": tuple(CONTROLLERS[1]), "cluster": NEWER}, "refuse from 1.35 on"),
    ("kernel", {"kernel": "5.4.0", "cluster": cluster(settings=settings(kubernetes_version="1.32.0"))}, "before 5.8"),
    ("proxy", {"programs": ("iptables",)}, "conntrack is not installed"),
    ("runtime", {"containerd": "1.7.2", "cluster": NEWER}, "is older than 1.7.20"),
    ("runtime", {"containerd": "2.1.0", "cluster": NEWER}, "containerd_version is not said"),
    ("system", {"os_id": "alpine", "os_version": "3.20"}, "runs alpine 3.20, whose package names"),
    ("system", {"os_id": "rocky", "os_version": "9.4"}, "runs rocky 9.4, and its operating_system is debian"),
]


@pytest.mark.parametrize(("check", "fault", "message"), WARNINGS)
def test_what_a_host_can_live_with_is_a_warning_with_its_remedy(
    check: str, fault: dict[str, Any], message: str
) -> None:
    findings = examine(subject(**fault))
    assert [(f.check, f.warning, message in f.message) for f in findings if f.check == check] == [(check, True, True)]
    assert all(f.remedy for f in findings)


def test_no_conntrack_is_needed_from_1_32_on() -> None:
    newest = cluster(settings=settings(kubernetes_version="1.32.0"))
    assert [f for f in examine(subject(programs=("iptables",), cluster=newest)) if f.check == "proxy"] == []


def test_a_package_is_called_as_the_hosts_system_calls_it() -> None:
    (finding,) = [f for f in examine(subject(programs=("iptables",), os_id="openEuler")) if f.check == "proxy"]
    assert finding.remedy == "dnf install --assumeyes conntrack-tools"


def test_a_system_that_is_called_by_its_name_is_no_finding() -> None:
    rhel = N1.model_copy(update={"variables": {"operating_system": "rhel"}})
    assert examine(subject(os_id="rocky", os_version="9.4", host=rhel)) == []
