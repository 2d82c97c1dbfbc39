"""What holds after two workers were added at once, with a proxy in the shell and a foreign request pending."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler import assets
from scaler.gateways.process import run
from scaler.lab.tools import wait_until
from scaler.pki.certificates import Subject, new_key, request
from tests.lab.conftest import NAME
from tests.lab.routes import STATIC, right

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab


class Joined(NamedTuple):
    cluster: Cluster
    code: int
    envelope: dict[str, Any]
    master_before: dict[str, str]
    temporary: Path


FOREIGN = {
    "apiVersion": "certificates.k8s.io/v1",
    "kind": "CertificateSigningRequest",
    "metadata": {"name": "foreign"},
    "spec": {
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
        "usages": ["digital signature", "client auth"],
        "request": base64.b64encode(request(new_key(), Subject("system:node:n1", "system:nodes"))).decode(),
    },
}


@pytest.fixture(scope="module")
def joined(cluster: Cluster) -> Iterator[Joined]:
    cluster.pristine()
    cluster.kubectl("delete", "csr", "--all")
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(FOREIGN))
    before = cluster.processes("m1")
    nobody = f"http://{cluster.hosts['n1'].subnet[250]}:3128"
    # Short, since SSH's control sockets are in it; its own, since other runs have theirs in /tmp.
    with tempfile.TemporaryDirectory() as temporary:
        code, envelope = cluster.add("n1", "n2", HTTPS_PROXY=nobody, HTTP_PROXY=nobody, TMPDIR=temporary)
        yield Joined(cluster, code, envelope, before, Path(temporary))


def test_both_are_added(joined: Joined) -> None:
    assert (joined.code, joined.envelope["data"]["added"]) == (0, ["n1", "n2"]), joined.envelope


def test_both_are_ready_and_take_pods(joined: Joined) -> None:
    nodes = joined.cluster.nodes()
    for name in ("n1", "n2"):
        assert "Ready" in [c["type"] for c in nodes[name]["status"]["conditions"] if c["status"] == "True"]
        assert "unschedulable" not in nodes[name]["spec"]
        assert not any("scaler" in key for key in nodes[name]["metadata"]["annotations"])


def test_every_node_has_the_way_to_the_pods_of_every_other(joined: Joined) -> None:
    cluster, nodes = joined.cluster, [*joined.cluster.nodes()]
    wait_until(lambda: right(cluster, *nodes, protocol=STATIC), "all routes are known", timeout=15)


def test_the_inventory_has_them_and_its_comments(joined: Joined) -> None:
    text = joined.cluster.inventory.read_text()
    workers, standby = text.split("standby:")
    assert "n1:" in workers
    assert "n2:" in workers
    assert "n1:" not in standby
    assert "n3:" in standby
    before = joined.cluster.baseline.decode()
    assert re.findall("#.*", text) == re.findall("#.*", before)


def test_no_process_of_the_master_was_restarted(joined: Joined) -> None:
    assert joined.cluster.processes("m1") == joined.master_before


def test_the_bootstrap_tokens_are_gone(joined: Joined) -> None:
    kind = "--field-selector=type=bootstrap.kubernetes.io/token"
    secrets = json.loads(joined.cluster.kubectl("get", "secrets", "-n", "kube-system", kind, "-o", "json"))["items"]
    of_runs = [base64.b64decode(secret["data"]["description"]).decode() for secret in secrets]
    assert f"scaler run {joined.envelope['data']['run']}" not in of_runs
    for name in ("n1", "n2"):
        assert "/var/lib/kubelet/bootstrap.kubeconfig" not in joined.cluster.tree(name)


def test_a_foreign_request_is_still_pending(joined: Joined) -> None:
    foreign = json.loads(joined.cluster.kubectl("get", "csr", "foreign", "-o", "json"))
    assert "conditions" not in foreign["status"]


def test_only_exact_requests_were_approved(joined: Joined) -> None:
    for csr in json.loads(joined.cluster.kubectl("get", "csr", "-o", "json"))["items"]:
        if csr["status"].get("conditions"):
            assert csr["spec"]["username"].startswith(("system:bootstrap:", "system:node:n"))


def test_no_verification_is_left(joined: Joined) -> None:
    namespaces = ["get", "namespaces", "-o", "name"]
    wait_until(lambda: "scaler-verify" not in joined.cluster.kubectl(*namespaces), "it is deleted", timeout=60)


@pytest.mark.parametrize("host", ["n1", "n2"])
def test_no_authority_and_no_administrator_is_on_a_worker(joined: Joined, host: str) -> None:
    pki = joined.cluster.where.inventory / "pki"
    secrets = [line for key in pki.glob("*.key") for line in key.read_text().splitlines()[1:2]]
    admin = (joined.cluster.where.inventory / "admin.kubeconfig").read_text()
    secrets.append(re.findall("client-key-data: (.*)", admin)[0])
    places = ["/etc", "/var/lib", "/usr/local", "/root", "/run", "/opt"]
    found = joined.cluster.hosts[host].exec(
        ["grep", "-rlF", "--exclude-dir=containerd", *(f"-e{s}" for s in secrets), *places], check=False
    )
    assert found.out == ""


def test_a_kubelets_key_is_on_its_own_host_alone(joined: Joined) -> None:
    key = joined.cluster.hosts["n1"].exec(["cat", "/var/lib/kubelet/pki/kubelet-client-current.pem"]).out
    line = key.split("PRIVATE KEY-----")[1].strip().splitlines()[0]
    other = joined.cluster.hosts["n2"].exec(["grep", "-rlF", f"-e{line}", "/etc", "/var/lib/kubelet"], check=False)
    assert other.out == ""
    here = subprocess.run(
        ["grep", "-rlF", line, str(joined.cluster.state), str(joined.cluster.where.inventory), "/tmp"],  # noqa: S108
        capture_output=True,
        text=True,
        check=False,
    )
    assert here.stdout == ""


@pytest.mark.parametrize("host", ["n1", "n2"])
def test_private_files_are_private(joined: Joined, host: str) -> None:
    tree = joined.cluster.tree(host)
    for path in ("/etc/kubernetes/kube-proxy.kubeconfig", "/var/lib/kubelet/config.yaml"):
        assert tree[path][1:] == ["0o100600", 0]


def test_the_journal_tells_intent_and_outcome_and_no_secret(joined: Joined) -> None:
    path = joined.cluster.state / NAME / "runs" / f"{joined.envelope['data']['run']}.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert (events[0]["kind"], events[-1]["kind"]) == ("run-started", "run-ended")
    steps = [event["step"] for event in events if event["kind"] == "step-intent"]
    assert steps == [spec["step"] for spec in events[0]["data"]["steps"]]
    assert [event["step"] for event in events if event["kind"] == "step-done"] == steps
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in path.read_text()


def test_no_private_directory_is_left(joined: Joined) -> None:
    assert joined.code == 0
    assert not list(joined.temporary.iterdir())


def test_adding_them_again_changes_nothing(joined: Joined) -> None:
    cluster, names = joined.cluster, ("n1", "n2", "m1")
    text = cluster.inventory.read_bytes()
    before = {name: (cluster.tree(name), cluster.processes(name)) for name in names}
    code, envelope = cluster.add("n1", "n2")
    assert (code, envelope["data"]["changed"], envelope["data"]["present"]) == (0, False, ["n1", "n2"])
    assert {name: (cluster.tree(name), cluster.processes(name)) for name in names} == before
    assert cluster.inventory.read_bytes() == text


def test_a_playbook_by_hand_finds_nothing_to_change(joined: Joined) -> None:
    told = _by_hand(joined.cluster, "n1")
    assert re.search(r"n1 +: ok=\d+ +changed=0 +unreachable=0 +failed=0", told), told


def test_a_playbook_by_hand_shows_what_it_would_do_and_does_not(joined: Joined) -> None:
    before = joined.cluster.tree("n3")
    told = _by_hand(joined.cluster, "n3", "--check", "--diff")
    assert "+KIND: KubeletConfiguration".lower() in told.lower()
    assert re.search(r"n3 +: ok=\d+ +changed=1 ", told), told
    assert joined.cluster.tree("n3") == before


def _by_hand(cluster: Cluster, host: str, *more: str) -> str:
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    playbook = str(assets.PLAYBOOKS / "worker_install.yml")
    argv = [ansible, "-i", str(cluster.inventory), playbook, "--limit", host, *more]
    return run(argv, timeout=120, check=False, env={"ANSIBLE_CONFIG": str(assets.PLAYBOOKS / "ansible.cfg")}).out
