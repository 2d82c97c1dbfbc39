"""One of three hosts is not fit: preflight says which and why, and nothing anywhere has changed."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from scaler.gateways.process import ProcessError
from scaler.lab.tools import wait_until
from tests.lab.conftest import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

THREE = ("n1", "n2", "n3")
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def _empty(cluster: Cluster) -> None:
    cluster.pristine()


@pytest.fixture(autouse=True)
def _mended(cluster: Cluster) -> Iterator[None]:
    known, variables = cluster.where.known_hosts.read_bytes(), cluster.variables.read_bytes()
    yield
    cluster.where.known_hosts.write_bytes(known)
    cluster.variables.write_bytes(variables)
    cluster.inventory.write_bytes(cluster.baseline)
    cluster.anew("n2")
    if sorted(cluster.nodes()) != ["m1"]:
        cluster.pristine()


def busy_port(cluster: Cluster) -> None:
    cluster.hosts["n2"].exec(
        ["systemd-run", "--unit=squatter", "socat", "TCP-LISTEN:10250,fork,reuseaddr", "EXEC:true"]
    )
    wait_until(lambda: "10250" in cluster.hosts["n2"].exec(["ss", "-tln"]).out, "the port is taken", timeout=10)


def full_disk(cluster: Cluster) -> None:
    cluster.hosts["n2"].fill(leave_bytes=300 * MIB)


def unknown_key(cluster: Cluster) -> None:
    path = cluster.where.known_hosts
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("n2,")))


def changed_key(cluster: Cluster) -> None:
    keys = {line.split(",")[0]: line.split()[2] for line in cluster.where.known_hosts.read_text().splitlines()}
    path = cluster.where.known_hosts
    path.write_text(path.read_text().replace(keys["n2"], keys["n1"]))


def user(name: str, port: int = 22) -> Callable[[Cluster], None]:
    def change(cluster: Cluster) -> None:
        address = cluster.hosts["n2"].address
        old = f"n2: {{ansible_host: {address}}}"
        new = f"n2: {{ansible_host: {address}, ansible_user: {name}, ansible_port: {port}}}"
        cluster.inventory.write_text(cluster.inventory.read_text().replace(old, new))

    return change


def elsewhere(cluster: Cluster) -> None:
    """Give n2 an address of the lab at which no host stands."""
    old, new = str(cluster.hosts["n2"].address), str(cluster.hosts["n2"].subnet[250])
    cluster.inventory.write_text(cluster.inventory.read_text().replace(old, new))


def clock(seconds: int) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.hosts["n2"].set_clock(seconds)


def command(*argv: str) -> Callable[[Cluster], None]:
    def change(cluster: Cluster) -> None:
        cluster.hosts["n2"].exec(argv)

    return change


def shell(line: str) -> Callable[[Cluster], None]:
    return command("sh", "-c", line)


def cloned(cluster: Cluster) -> None:
    """Make n2 a clone of n1, as far as machine-id tells."""
    identity = cluster.hosts["n1"].exec(["cat", "/etc/machine-id"]).out
    cluster.hosts["n2"].exec(
        ["sh", "-c", f"umount /etc/machine-id 2>/dev/null; echo {identity.strip()} > /etc/machine-id"]
    )


def no_way_to_the_api(cluster: Cluster) -> None:
    balancer = cluster.hosts["lb1"].address
    cluster.hosts["n2"].exec(["iptables", "-A", "OUTPUT", "-d", str(balancer), "-p", "tcp", "-j", "REJECT"])


FAULTS: dict[str, tuple[Callable[[Cluster], None], str]] = {
    "a busy kubelet port": (busy_port, "port 10250 (kubelet) is taken by socat"),
    "a full disk": (full_disk, "MiB free, 1024 MiB are needed"),
    "an unknown host key": (unknown_key, "unknown host key ssh-ed25519 SHA256:"),
    "a changed host key": (changed_key, "the host's key changed"),
    "no sudo": (user("nosudo"), "nosudo cannot become root"),
    "a wrong ssh port": (user("root", 2222), "SSH does not answer"),
    "no host at the address": (elsewhere, "SSH does not answer"),
    "a clock an hour ahead": (clock(3600), "s ahead of this machine's"),
    "a clock an hour behind": (clock(-3600), "s behind this machine's"),
    "no python": (shell("mv /usr/bin/python3 /usr/bin/python3.away"), "the probe did not run with /usr/bin/python3"),
    "a read-only file system": (
        shell("mount --bind /usr/local/bin /usr/local/bin && mount -o remount,bind,ro /usr/local/bin"),
        "/usr/local/bin is on a read-only file system",
    ),
    "leftovers of an earlier kubelet": (
        shell("mkdir -p /var/lib/kubelet/pki && touch /var/lib/kubelet/pki/old.pem"),
        "leftovers of an earlier installation: /var/lib/kubelet/pki",
    ),
    "leftovers of another network": (
        shell("mkdir -p /etc/cni/net.d && touch /etc/cni/net.d/10-other.conflist"),
        "leftovers of an earlier installation: /etc/cni/net.d",
    ),
    "another cluster's authority": (
        shell("mkdir -p /etc/kubernetes/pki && echo another > /etc/kubernetes/pki/ca.crt"),
        "belongs to another cluster",
    ),
    "another machine's identity": (cloned, "is also n1's"),
    "no way to the API": (no_way_to_the_api, "cannot reach the API through"),
    "a route into the pods' network": (
        command("ip", "route", "add", "10.244.77.0/24", "dev", "lo"),
        "its route 10.244.77.0/24 overlaps the pod network",
    ),
    "kernel settings that cannot be written": (
        shell("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"),
        "sysctl net.ipv4.ip_forward cannot be written",
    ),
    "no container runtime": (shell("mv /usr/bin/containerd /usr/bin/containerd.away"), "containerd is not installed"),
}


def state_of(cluster: Cluster) -> dict[str, Any]:
    """Everything a refused change must leave alone."""
    hosts = {name: (cluster.hosts[name].exec(["true"]), _tree(cluster, name)) for name in THREE}
    return {"hosts": hosts, "nodes": sorted(cluster.nodes()), "inventory": cluster.inventory.read_bytes()}


def _tree(cluster: Cluster, name: str) -> object:
    """Hash the host's files from outside, since a host without Python cannot tell."""
    line = "find /etc /usr/local /var/lib/kubelet /var/lib/scaler -type f -exec sha256sum {} + 2>/dev/null | sort -k2"
    return cluster.hosts[name].exec(["sh", "-c", line]).out


@pytest.mark.parametrize("fault", FAULTS)
def test_one_unfit_host_refuses_all_and_changes_nothing(cluster: Cluster, fault: str) -> None:
    plant, reason = FAULTS[fault]
    plant(cluster)
    before = state_of(cluster)
    code, envelope = cluster.add(*THREE)
    assert code == 4, envelope
    assert envelope["error"]["kind"] == "preflight"
    assert reason in envelope["error"]["message"]
    lines = [line for line in envelope["error"]["message"].splitlines() if ": refused: " in line]
    assert {line.split(":")[0] for line in lines} == {"n2"} or fault == "another machine's identity"
    assert "nothing was touched" in envelope["error"]["hint"]
    assert state_of(cluster) == before


def test_all_faults_of_all_hosts_are_told_at_once(cluster: Cluster) -> None:
    busy_port(cluster)
    clock(3600)(cluster)
    cluster.hosts["n3"].set_clock(-3600)
    try:
        _, envelope = cluster.add(*THREE)
    finally:
        cluster.hosts["n3"].set_clock(0)
    lines = [line for line in envelope["error"]["message"].splitlines() if ": refused: " in line]
    told = {": ".join(line.split(": ")[0:3:2]) for line in lines}
    assert told >= {"n2: clock", "n2: ports", "n3: clock"}, envelope["error"]["message"]


def test_with_keep_going_the_fit_hosts_join(cluster: Cluster) -> None:
    clock(3600)(cluster)
    code, envelope = cluster.add(*THREE, "--keep-going")
    assert (code, envelope["error"]["kind"]) == (2, "partial"), envelope
    assert envelope["data"]["added"] == ["n1", "n3"]
    assert "s ahead of" in envelope["data"]["failed"]["n2"]
    assert sorted(cluster.nodes()) == ["m1", "n1", "n3"]
    workers = cluster.inventory.read_text().split("standby:")[0]
    assert "n1:" in workers
    assert "n2:" not in workers


def test_a_plan_changes_nothing(cluster: Cluster) -> None:
    before = state_of(cluster)
    done = cluster.scaler("add-node", *THREE, "--cluster", NAME, "--plan")
    assert done.status == 0, done.err
    assert f"Plan: add-node on cluster {NAME}" in done.out
    assert "not touched: no other host is changed" in done.out.lower()
    assert state_of(cluster) == before


def test_without_a_terminal_yes_is_needed(cluster: Cluster) -> None:
    done = cluster.scaler("add-node", "n1", "--cluster", NAME)
    assert (done.status, "say --yes" in done.err) == (3, True)
    assert sorted(cluster.nodes()) == ["m1"]


def binaries_of(cluster: Cluster) -> str:
    lines = cluster.variables.read_text().splitlines()
    return next(line for line in lines if line.startswith("binaries:")).split()[1]


def test_a_wrong_byte_in_a_binary_stops_everything(cluster: Cluster) -> None:
    store = cluster.where.root / "store"
    source = binaries_of(cluster)
    shutil.copytree(source, store, copy_function=os.symlink)
    kubelet = next(store.glob("kubernetes/*/*/kubelet"))
    content = bytearray(kubelet.read_bytes())
    kubelet.unlink()
    content[len(content) // 2] ^= 1
    kubelet.write_bytes(content)
    cluster.variables.write_text(cluster.variables.read_text().replace(f"binaries: {source}", f"binaries: {store}"))
    before = state_of(cluster)
    try:
        code, envelope = cluster.add(*THREE)
    finally:
        shutil.rmtree(store)
        cluster.variables.write_text(cluster.variables.read_text().replace(f"binaries: {store}", f"binaries: {source}"))
    assert (code, envelope["error"]["kind"]) == (8, "integrity")
    assert "kubelet is not what the manifest says" in envelope["error"]["message"]
    assert state_of(cluster) == before


def test_a_version_newer_than_the_clusters_is_refused(cluster: Cluster) -> None:
    text = cluster.variables.read_text()
    cluster.variables.write_text(text.replace('kubernetes_version: "1.20.2"', 'kubernetes_version: "1.21.0"'))
    manifest = cluster.where.inventory / "binaries.sha256"
    digests = manifest.read_text()
    store = binaries_of(cluster)
    newer = f"{store}/kubernetes/v1.21.0"
    shutil.copytree(f"{store}/kubernetes/v1.20.2", newer, copy_function=os.symlink)
    manifest.write_text(digests + digests.replace("v1.20.2", "v1.21.0"))
    try:
        code, envelope = cluster.add("n1")
    finally:
        shutil.rmtree(newer)
        manifest.write_text(digests)
    assert code == 4
    assert "1.21.0 does not fit the cluster's API server 1.20.2" in envelope["error"]["message"]


def test_an_api_that_is_down_refuses(cluster: Cluster) -> None:
    master = cluster.hosts["m1"]
    before = _tree(cluster, "n1")
    master.exec(["systemctl", "stop", "kube-apiserver"])
    try:
        code, envelope = cluster.add("n1")
    finally:
        master.exec(["systemctl", "start", "kube-apiserver"])
        wait_until(lambda: _answers(cluster), "the API answers again", timeout=60)
    assert (code, envelope["error"]["kind"]) == (7, "unreachable")
    assert "the API server does not answer" in envelope["error"]["message"]
    assert _tree(cluster, "n1") == before


def _answers(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw", "/readyz") == "ok"
    except ProcessError:
        return False


def test_a_name_that_is_another_machines_node_is_refused(cluster: Cluster) -> None:
    ghost: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}}
    condition = {"type": "Ready", "status": "True", "reason": "Test", "message": "another machine"}
    ghost["status"] = {"nodeInfo": _node_info("0123456789abcdef0123456789abcdef"), "conditions": [condition]}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(ghost))
    text = cluster.inventory.read_text()
    cluster.inventory.write_text("".join(line for line in text.splitlines(keepends=True) if "n4:" not in line))
    try:
        key = str(cluster.where.client_key)
        code, envelope = cluster.add(str(cluster.hosts["n4"].address), "--name", "ghost", "--key", key)
    finally:
        cluster.kubectl("delete", "node", "ghost")
    assert code == 4
    assert "node ghost exists and is another machine" in envelope["error"]["message"]


def _node_info(machine: str) -> dict[str, str]:
    names = ("systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion")
    more = ("kubeProxyVersion", "operatingSystem", "architecture")
    return {"machineID": machine, **dict.fromkeys((*names, *more), "")}
