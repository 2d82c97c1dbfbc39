"""What scaler verify tells of real workers: of two that are well, and of one with something broken on purpose."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler.checks import join
from scaler.lab.tools import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.long

# What the lab's cluster has none of.
ABSENT = {
    "dns-headless",
    "dns-outside",
    "dns-service",
    "dns-statefulset",
    "external-name",
    "load-balancer",
    "network-policy",
    "probe-grpc",
    "user-namespace",
    "volume-claim",
}
CNI = "/etc/cni/net.d/10-routed.conflist"
KUBELET = "/var/lib/kubelet/config.yaml"
CONTAINERD = "/etc/containerd/config.toml"
SCRIPT = Path(__file__).with_name("dns_script.py")
IDLE_ENGINE = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "calico-node", "namespace": "kube-system"},
    "spec": {
        "selector": {"matchLabels": {"app": "calico-node"}},
        "template": {
            "metadata": {"labels": {"app": "calico-node"}},
            # On no node at all, so that it surely does nothing.
            "spec": {
                "nodeSelector": {"no": "node"},
                "containers": [{"name": "idle", "image": "scaler.local/lab/pause:1"}],
            },
        },
    },
}


STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "by-hand", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
}
VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "by-hand"},
    "spec": {
        "storageClassName": "by-hand",
        "capacity": {"storage": "64Mi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/var/lib/by-hand", "type": "DirectoryOrCreate"},
    },
}


class Told(NamedTuple):
    code: int
    envelope: dict[str, Any]
    seconds: float

    def checks(self, node: str) -> dict[str, dict[str, Any]]:
        (found,) = [each for each in self.envelope["data"]["nodes"] if each["node"] == node]
        return {each["check"]: each for each in found["checks"]}

    def outcomes(self, node: str, outcome: str) -> set[str]:
        return {name for name, each in self.checks(node).items() if each["outcome"] == outcome}


class Workers:
    """The lab's cluster with two workers, and scaler verify on it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def verify(self, *argv: str) -> Told:
        began = time.monotonic()
        done = self.cluster.scaler("verify", *argv, "--cluster", self.cluster.where.name, "--output", "json")
        assert done.out, done.err
        told = json.loads(done.out)
        assert told["exit_code"] == done.status
        return Told(done.status, told, time.monotonic() - began)

    def run(self, host: str, *argv: str) -> str:
        return self.cluster.hosts[host].exec(list(argv)).out

    @contextmanager
    def done(self, host: str, plant: str, undo: str) -> Iterator[None]:
        """Break something on a host by a command, and mend it by another."""
        self.run(host, "sh", "-c", plant)
        try:
            yield
        finally:
            self.run(host, "sh", "-c", undo)

    @contextmanager
    def changed(self, host: str, path: str, old: str, new: str, unit: str = "") -> Iterator[None]:
        """Change a line of a file on a host, and restart what reads it; then bring both back."""
        restart = f"systemctl restart {unit}" if unit else "true"
        self.run(host, "grep", "-q", old, path)
        with self.done(
            host,
            f"cp -a {path} /root/kept && sed -i 's|{old}|{new}|' {path} && {restart}",
            # In place: containerd looks at its network again when a file there is written, not when one is moved in.
            f"cp -a /root/kept {path} && rm /root/kept && {restart}",
        ):
            self.cluster.kubectl("wait", "--for=condition=Ready", f"node/{host}", "--timeout=60s")
            yield
        self.cluster.kubectl("wait", "--for=condition=Ready", f"node/{host}", "--timeout=60s")

    @contextmanager
    def objects(self, *objects: dict[str, Any]) -> Iterator[None]:
        """Let these be in the cluster meanwhile."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.cluster.kubectl("create", "-f", "-", stdin=text)
        try:
            yield
        finally:
            self.cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)

    def namespaces(self) -> list[str]:
        names = self.cluster.kubectl("get", "namespaces", "-o", "name").split()
        return [name.partition("/")[2] for name in names if "scaler-verify" in name]

    def are_gone(self) -> None:
        wait_until(lambda: not self.namespaces(), "the namespaces of proofs are gone", timeout=180)


@pytest.fixture(scope="module")
def workers(cluster: Cluster) -> Workers:
    if not {"n1", "n2"} <= set(cluster.nodes()):
        cluster.pristine()
        code, envelope = cluster.add("n1", "n2")
        assert code == 0, envelope
    return Workers(cluster)


@pytest.fixture(scope="module")
def well(workers: Workers) -> Told:
    return workers.verify("n1")


def test_every_check_of_a_node_that_is_well_passes_or_is_not_there(well: Told) -> None:
    assert well.outcomes("n1", "failed") == set(), well.envelope["error"]
    assert well.outcomes("n1", "not there") == ABSENT
    assert well.outcomes("n1", "passed") == {check.name for check in join.checks(full=True)} - ABSENT
    assert well.code == 0


def test_a_node_is_proven_in_90_seconds(well: Told) -> None:
    assert well.seconds <= 90


def test_each_check_and_each_stage_of_a_pods_life_has_its_time(well: Told) -> None:
    (node,) = well.envelope["data"]["nodes"]
    assert set(node["stages"]) == {"stored", "scheduled", "sandbox", "started", "ready", "deleted"}
    assert node["stages"]["scheduled"] <= node["stages"]["started"] <= node["stages"]["ready"]
    assert all(each["seconds"] > 0 for each in node["checks"] if each["check"] == "probe-liveness")


@pytest.mark.usefixtures("well")
def test_nothing_of_a_proof_stays(workers: Workers) -> None:
    workers.are_gone()


def test_an_mtu_that_the_link_does_not_carry_is_told(workers: Workers) -> None:
    way = f"{workers.cluster.nodes()['n2']['spec']['podCIDR']} via {workers.cluster.hosts['n2'].address} proto 197"
    with workers.done("n1", f"ip route change {way} mtu lock 1400", f"ip route change {way}"):
        told = workers.verify("n1", "--peer", "n2", "--checks", "join,full-mtu,full-mtu-back")
    assert "full-mtu" in told.outcomes("n1", "failed")
    assert "a packet of 1500 bytes, the MTU of eth0" in told.checks("n1")["full-mtu"]["reason"]
    # Who is told to send smaller packets does: nothing else shows it.
    assert told.outcomes("n1", "passed") >= {"reaches-old-node", "reached-from-old-node"}


def test_bridged_packets_that_go_past_the_rules_are_told(workers: Workers) -> None:
    setting = "net.bridge.bridge-nf-call-iptables"
    # What a host is like on which nobody has loaded br_netfilter.
    with workers.done("n1", f"sysctl -qw {setting}=0", f"sysctl -qw {setting}=1"):
        told = workers.verify("n1", "--checks", "service-answers,service-on-same-node")
    assert told.outcomes("n1", "failed") == {"service-on-same-node"}


def test_a_policy_engine_that_does_nothing_is_told(workers: Workers) -> None:
    with workers.objects(IDLE_ENGINE):
        told = workers.verify("n2", "--checks", "policy")
    assert told.code == 4
    assert "keeps nobody out, though calico-node is there" in told.checks("n2")["network-policy"]["reason"]


def test_a_dead_kube_proxy_is_told(workers: Workers) -> None:
    with workers.done("n1", "systemctl stop kube-proxy", "systemctl start kube-proxy"):
        told = workers.verify("n1", "--checks", "services,network")
    # What is made meanwhile gets no rules on this node, and has them on the others.
    assert told.outcomes("n1", "failed") == {
        "node-port-here",
        "service-answers",
        "service-from-host",
        "service-on-same-node",
        "session-affinity",
    }
    assert "service-reaches-node" in told.outcomes("n1", "passed")


def test_a_firewall_that_is_closed_one_way_is_told_as_that_way(workers: Workers) -> None:
    rule = "FORWARD -p tcp --syn -d {} -j DROP".format(workers.cluster.nodes()["n2"]["spec"]["podCIDR"])
    with workers.done("n1", f"iptables -w -I {rule}", f"iptables -w -D {rule}"):
        told = workers.verify("n1", "--peer", "n2", "--checks", "network")
    # The host itself does not forward what it sends.
    assert told.outcomes("n1", "failed") == {"reaches-old-node"}
    assert re.search("the pod on n2 at .* sent 0 of 65536 bytes", told.checks("n1")["reaches-old-node"]["reason"])


def test_a_network_plugin_that_is_not_there_is_told_by_the_pod_that_does_not_start(workers: Workers) -> None:
    with workers.changed("n2", CNI, '"type": "bridge"', '"type": "no-bridge"'):
        told = workers.verify("n2", "--checks", "pod,network", "--timeout", "30")
    reason = told.checks("n2")["pod-life"]["reason"]
    assert "the pod does not run after 30 s" in reason
    assert 'failed to find plugin "no-bridge"' in reason


def test_a_kubelet_of_another_cgroup_driver_than_the_runtimes_is_told(workers: Workers) -> None:
    with workers.changed("n2", KUBELET, "cgroupDriver: cgroupfs", "cgroupDriver: systemd", "kubelet"):
        told = workers.verify("n2", "--checks", "cgroup,pod-life", "--timeout", "30")
    # Some runtimes start pods all the same, beside the control group that their limits are in.
    reasons = [each["reason"] for each in told.checks("n2").values() if each["outcome"] == "failed"]
    assert any("cgroup" in reason or "slice" in reason for reason in reasons), reasons


def test_a_runtime_of_another_cgroup_driver_than_the_kubelets_is_told_by_the_pod_that_does_not_start(
    workers: Workers,
) -> None:
    with workers.changed("n2", CONTAINERD, "SystemdCgroup = false", "SystemdCgroup = true", "containerd"):
        told = workers.verify("n2", "--checks", "cgroup,pod-life", "--timeout", "30")
    assert "systemd cgroup" in told.checks("n2")["pod-life"]["reason"]


@pytest.fixture
def with_dns(workers: Workers) -> Iterator[Workers]:
    """The cluster with a server of DNS, of the simplest kind, behind the Service's usual address."""
    cluster, port = workers.cluster, [{"name": "dns", "port": 53, "protocol": "UDP"}]
    meta = {"name": "kube-dns", "namespace": "kube-system"}
    address = str(cluster.hosts["m1"].address)
    service: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
    service["spec"] = {"clusterIP": "10.96.0.10", "ports": port}
    behind: dict[str, Any] = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta}
    behind["subsets"] = [{"addresses": [{"ip": address}], "ports": port}]
    kubeconfig = (cluster.where.inventory / "admin.kubeconfig").read_text()
    for path, text in (("/root/dns.py", SCRIPT.read_text()), ("/root/dns.kubeconfig", kubeconfig)):
        cluster.hosts["m1"].exec(["sh", "-c", f"umask 077; cat > {path}"], stdin=text)
    program = f"/usr/bin/python3 /root/dns.py /root/dns.kubeconfig {address}"
    with (
        workers.done(
            "m1",
            f"systemd-run -q --unit=lab-dns {program}",
            "systemctl stop lab-dns || true; rm /root/dns.py /root/dns.kubeconfig",
        ),
        workers.objects(service, behind),
    ):
        yield workers


def test_names_are_told_where_there_is_dns(with_dns: Workers) -> None:
    told = with_dns.verify("n1", "--checks", "dns,external-name", "--outside", "www.example.org")
    assert told.outcomes("n1", "passed") == {
        "dns-headless",
        "dns-outside",
        "dns-service",
        "dns-statefulset",
        "external-name",
    }, told.envelope


def test_dns_that_does_not_answer_is_no_dns_that_is_not_there(with_dns: Workers) -> None:
    with_dns.run("m1", "systemctl", "stop", "lab-dns")
    told = with_dns.verify("n1", "--checks", "dns-service,external-name")
    assert told.outcomes("n1", "failed") == {"dns-service", "external-name"}


def test_a_claim_is_proven_where_there_is_a_default_class(workers: Workers) -> None:
    with workers.objects(STORAGE_CLASS, VOLUME):
        told = workers.verify("n1", "--checks", "volume-claim")
        # There is one volume, and it is taken.
        again = workers.verify("n1", "--checks", "volume-claim", "--timeout", "30")
    assert told.outcomes("n1", "passed") == {"volume-claim"}, told.envelope
    assert again.outcomes("n1", "failed") == {"volume-claim"}


def test_a_load_balancer_is_proven_where_something_gives_out_addresses(workers: Workers) -> None:
    cluster = workers.cluster
    address = str(cluster.hosts["n1"].subnet[-3])

    def give(namespace: str, name: str) -> None:
        """Tell a Service its address, as a cloud's controller does; every kube-proxy then knows the way."""
        told = json.loads(cluster.kubectl("get", "service", "-n", namespace, name, "-o", "json"))
        told["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
        path = f"/api/v1/namespaces/{namespace}/services/{name}/status"
        cluster.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(told))

    def waits(*, given: bool) -> bool:
        argv = ["get", "services", "-A", "--field-selector=metadata.name=balanced", "-o", "json"]
        for each in json.loads(cluster.kubectl(*argv))["items"]:
            if given:
                give(each["metadata"]["namespace"], "balanced")
            return True
        return False

    front = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front", "namespace": "default"}}
    with workers.objects({**front, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}):
        give("default", "front")
        for asked, outcome in ((partial(waits, given=True), "passed"), (partial(waits, given=False), "failed")):
            with ThreadPoolExecutor() as pool:
                proof = pool.submit(workers.verify, "n1", "--checks", "load-balancer")
                wait_until(asked, "a load balancer is asked for", timeout=60)
                assert proof.result().outcomes("n1", outcome) == {"load-balancer"}, proof.result().envelope
            workers.are_gone()


def test_both_workers_are_proven_at_once_with_a_master(workers: Workers) -> None:
    told = workers.verify()
    assert told.envelope["data"]["passed"] == ["n1", "n2"], told.envelope["error"]
    assert {tuple(node["peers"]) for node in told.envelope["data"]["nodes"]} == {("m1",)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_proof_leaves_nothing(workers: Workers, number: signal.Signals) -> None:
    workers.are_gone()
    with workers.cluster.start("verify", "n1", "--cluster", workers.cluster.where.name, "--output", "json") as proof:
        wait_until(lambda: bool(workers.namespaces()), "it has begun", timeout=60)
        proof.send_signal(number)
        assert proof.wait(60) == 10
    workers.are_gone()


def test_what_a_killed_proof_has_left_is_deleted_by_the_next(workers: Workers) -> None:
    workers.are_gone()
    with workers.cluster.start("verify", "n1", "--cluster", workers.cluster.where.name, "--output", "json") as proof:
        wait_until(lambda: bool(workers.namespaces()), "it has begun", timeout=60)
        os.kill(proof.pid, signal.SIGKILL)
    (left,) = workers.namespaces()
    workers.verify("n1", "--checks", "exec-answers")
    wait_until(lambda: left not in workers.namespaces(), f"{left} is gone", timeout=180)
