"""Machines come from standby and go back there while a Service on their pool is asked without end.

Each test says which workers and which caches it begins with. What is asked for runs as a user would have it: two
replicas or more, a budget, a readiness probe, and a moment between the wish to end and the end.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler import assets
from scaler.gateways.process import run
from scaler.lab.images import BUSYBOX_TAG
from scaler.lab.tools import wait_until
from tests.lab.conftest import WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

SCRIPT = Path(__file__).with_name("getter_script.py")
RACKS = {"n1": "rack-a", "n2": "rack-a", "n3": "rack-b", "n4": "rack-b"}
POOLS = """
pools:
  web: {min: 1, max: 4, labels: {disk: ssd}, taints: ["dedicated=web:NoSchedule"]}
"""
LONG_ROUNDS = 10
# What a join without a cache sends: binaries and images.
MEGABYTE = 1 << 20


@dataclass
class Answers:
    """Which pods answered how often, and every request that nobody answered."""

    answered: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Pool(NamedTuple):
    cluster: Cluster
    inventory: bytes

    def begins_with(self, *workers: str, brought: tuple[str, ...] = ()) -> None:
        """Let exactly ``workers`` be nodes, and the hosts that run have a cache if they are among ``brought``."""
        cluster = self.cluster
        cluster.kubectl("delete", "--ignore-not-found", "deployment/web", "service/web", "pdb/web")
        for name in WORKERS:
            cluster.hosts[name].power_on()
        cluster.have_workers(*workers, leaving=("--to-standby",))
        cluster.fresh(*[name for name in WORKERS if name not in (*workers, *brought)])
        if brought:
            code, told = cluster.change("prefetch", *brought)
            assert code == 0, told


@pytest.fixture(scope="module")
def pool(cluster: Cluster) -> Iterator[Pool]:
    cluster.pristine()
    variables = cluster.variables.read_bytes()
    text = cluster.inventory.read_text()
    for name, rack in RACKS.items():
        text = re.sub(rf"({name}: {{[^}}]*)}}", rf"\1, pool: web, failure_domain: {rack}}}", text)
    try:
        cluster.variables.write_bytes(variables + POOLS.encode())
        cluster.inventory.write_text(text)
        yield Pool(cluster, text.encode())
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "deployment/web", "service/web", "pdb/web")
        # The pools go last, since hosts name them.
        cluster.inventory.write_bytes(cluster.baseline)
        cluster.variables.write_bytes(variables)
        cluster.pristine()


def objects() -> list[dict[str, Any]]:
    """Return a web server on the pool's Nodes, its budget and its Service."""
    labels = {"app": "web"}
    serve = (
        "mkdir -p /tmp/www; hostname > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www & trap 'kill $!' TERM; wait"
    )
    container = {
        "name": "web",
        "image": BUSYBOX_TAG,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", serve],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        # Until nobody sends to it any more.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "4"]}}},
    }
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    spread = [{"weight": 100, "podAffinityTerm": term}]
    spec = {
        "nodeSelector": {"scaler.dev/pool": "web", "disk": "ssd"},
        "tolerations": [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": spread}},
        "terminationGracePeriodSeconds": 20,
        "containers": [container],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    budget = {"minAvailable": 2, "selector": {"matchLabels": labels}}
    named = {"metadata": {"name": "web"}}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": deployment, **named},
        {"apiVersion": "v1", "kind": "Service", "spec": service, **named},
        {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "spec": budget, **named},
    ]


def serve(cluster: Cluster, replicas: int) -> set[str]:
    """Have so many replicas, wait until all are ready, and return the nodes that they are on."""
    cluster.kubectl("scale", "deployment/web", f"--replicas={replicas}")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s")

    def placed() -> list[str]:
        told = json.loads(cluster.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
        return [pod["spec"]["nodeName"] for pod in told if "deletionTimestamp" not in pod["metadata"]]

    wait_until(lambda: len(placed()) == replicas, "all replicas are there", timeout=60)
    return set(placed())


@contextmanager
def asking(cluster: Cluster) -> Iterator[Answers]:
    """Ask the Service from the master's host, twenty times a second, until left."""
    where = cluster.where
    address = json.loads(cluster.kubectl("get", "service", "web", "-o", "json"))["spec"]["clusterIP"]
    quoted = SCRIPT.read_text().replace("'", "'\"'\"'")
    argv = ["ssh", "-i", str(where.client_key), "-o", f"UserKnownHostsFile={where.known_hosts}"]
    argv += [f"root@{cluster.hosts['m1'].address}", f"python3 -c '{quoted}'"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"host": address, "port": 80, "every": 0.05}) + "\n")
    process.stdin.flush()
    answers = Answers()
    try:
        yield answers
    finally:
        out, _ = process.communicate(timeout=60)
        if out:
            told = json.loads(out)
            answers.answered, answers.failures = told["answered"], told["failures"]


BY_POOL, BY_WORKERS = ("--pool", "web", "--to"), ("--workers",)


def sized(cluster: Cluster, size: str, *more: str, by: tuple[str, ...] = BY_POOL) -> tuple[int, dict[str, Any]]:
    return cluster.change("scale", *by, size, *more)


def check(cluster: Cluster, host: str) -> str:
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [ansible, "-i", str(cluster.inventory), str(assets.PLAYBOOKS / "prefetch.yml"), "--limit", host, "--check"]
    return run(argv, timeout=120, check=False, env={"ANSIBLE_CONFIG": str(assets.PLAYBOOKS / "ansible.cfg")}).out


def test_a_host_that_nothing_was_brought_to_is_sent_everything_when_it_joins(pool: Pool) -> None:
    pool.begins_with()
    code, told = sized(pool.cluster, "1")
    assert (code, told["data"]["added"], told["data"]["before"]) == (0, ["n1"], 0), told
    assert told["data"]["measures"]["payload_bytes"] > 10 * MEGABYTE
    node = pool.cluster.nodes()["n1"]
    labels = node["metadata"]["labels"]
    assert (labels["scaler.dev/pool"], labels["disk"], labels["topology.kubernetes.io/zone"]) == (
        "web",
        "ssd",
        "rack-a",
    )
    assert {"key": "dedicated", "value": "web", "effect": "NoSchedule"} in node["spec"]["taints"]


def test_what_would_be_brought_ahead_of_time_is_shown_and_not_done(pool: Pool) -> None:
    pool.begins_with("n1")
    before = pool.cluster.tree("n2")
    told = check(pool.cluster, "n2")
    assert re.search(r"n2 +: ok=\d+ +changed=1 +unreachable=0 +failed=0", told), told
    shown = pool.cluster.scaler("prefetch", "--cluster", pool.cluster.where.name, "--plan")
    assert shown.status == 0
    assert "Bring binaries and images ahead of time: n2, n3, n4" in shown.out
    assert pool.cluster.tree("n2") == before


def test_everything_is_brought_to_all_on_standby_and_again_changes_nothing(pool: Pool) -> None:
    pool.begins_with("n1")
    cluster = pool.cluster
    code, told = cluster.change("prefetch")
    assert (code, told["data"]["prefetched"]) == (0, ["n2", "n3", "n4"]), told
    assert told["data"]["measures"]["payload_bytes"] > 3 * 10 * MEGABYTE
    before = {name: (cluster.tree(name), cluster.processes(name)) for name in ("n2", "n3", "n4")}
    code, told = cluster.change("prefetch")
    assert (code, told["data"]["changed"], told["data"]["present"]) == (0, False, ["n2", "n3", "n4"]), told
    assert re.search(r"n2 +: ok=\d+ +changed=0 +unreachable=0 +failed=0", check(cluster, "n2"))
    assert {name: (cluster.tree(name), cluster.processes(name)) for name in ("n2", "n3", "n4")} == before


def test_a_worker_keeps_what_it_has_in_its_place_and_is_sent_nothing(pool: Pool) -> None:
    pool.begins_with("n1")
    code, told = pool.cluster.change("prefetch", "n1")
    assert (code, told["data"]["prefetched"]) == (0, ["n1"]), told
    assert told["data"]["measures"]["payload_bytes"] == 0


def rounds(pool: Pool, count: int, by: tuple[str, ...] = BY_POOL) -> Answers:
    """Grow and shrink ``count`` times while the Service is asked; every host joins without a byte of payload."""
    cluster = pool.cluster
    before = cluster.inventory.read_bytes()
    items = {"apiVersion": "v1", "kind": "List", "items": objects()}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))
    assert serve(cluster, 2) == {"n1"}
    with asking(cluster) as answers:
        for _ in range(count):
            code, told = sized(cluster, "3", by=by)
            # First from the rack that has nobody, then by name.
            assert (code, told["data"]["added"]) == (0, ["n3", "n2"]), told
            assert told["data"]["measures"]["payload_bytes"] == 0
            assert serve(cluster, 4) == {"n1", "n2", "n3"}
            code, told = sized(cluster, "1", by=by)
            assert (code, set(told["data"]["removed"]), told["data"]["later"]) == (0, {"n2", "n3"}, {}), told
            assert cluster.inventory.read_bytes() == before
            assert serve(cluster, 2) == {"n1"}
    return answers


def test_machines_come_and_go_and_no_request_fails(pool: Pool) -> None:
    pool.begins_with("n1", brought=("n2", "n3"))
    answers = rounds(pool, 1)
    assert answers.failures == []
    # Those that came and went had their part in it.
    assert len(answers.answered) >= 4, answers
    assert sum(answers.answered.values()) > 100


def test_a_host_that_went_back_has_nothing_of_the_cluster_but_its_cache(pool: Pool) -> None:
    pool.begins_with("n1", "n3")
    pool.begins_with("n1", brought=("n3",))
    left = set(pool.cluster.tree("n3")) - set(pool.cluster.untouched["n3"]["tree"])
    assert left
    assert {path for path in left if not path.startswith("/var/cache/scaler/")} == set()
    assert pool.cluster.processes("n3") == {}


def test_more_than_is_there_is_refused_before_anything_is_touched_with_who_was_passed_over(pool: Pool) -> None:
    pool.begins_with("n1", brought=("n2", "n3"))
    cluster = pool.cluster
    before = cluster.inventory.read_bytes()
    cluster.hosts["n4"].kill()
    code, told = sized(cluster, "4")
    assert (code, told["error"]["kind"]) == (4, "preflight"), told
    assert "n4: passed over: " in told["error"]["message"]
    assert "--partial" in told["error"]["hint"]
    code, told = sized(cluster, "5")
    assert (code, told["error"]["kind"]) == (5, "guard"), told
    assert set(cluster.nodes()) == {"m1", "n1"}
    assert cluster.inventory.read_bytes() == before


def test_what_is_there_is_taken_where_that_will_do_and_the_exit_code_says_so(pool: Pool) -> None:
    pool.begins_with("n1", brought=("n2", "n3"))
    pool.cluster.hosts["n4"].kill()
    code, told = sized(pool.cluster, "4", "--partial")
    assert (code, told["data"]["added"], told["data"]["short"]) == (2, ["n3", "n2"], 1), told
    assert set(told["data"]["passed_over"]) == {"n4"}
    listed = json.loads(
        pool.cluster.scaler("pool", "list", "--cluster", pool.cluster.where.name, "--output", "json").out
    )
    (web,) = listed["data"]["pools"]
    assert (web["workers"], web["ready"], web["standby"]) == (3, 3, 1)
    assert web["failure_domains"]["rack-b"] == {"workers": 1, "standby": 1}


@pytest.mark.long
def test_ten_times_in_a_row_and_no_request_fails(pool: Pool) -> None:
    pool.begins_with("n1", brought=("n2", "n3"))
    answers = rounds(pool, LONG_ROUNDS, BY_WORKERS)
    assert answers.failures == []
    assert sum(answers.answered.values()) > 100 * LONG_ROUNDS
