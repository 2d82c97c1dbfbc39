"""Real clusters for the tests of this folder: each begins with one master, and hosts on standby."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scaler.gateways.process import Completed, run
from scaler.lab import lab
from scaler.lab.layout import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.lab.host import Host

# Two processes that share the tests have a lab each.
NAME = os.environ.get("SCALER_TEST_LAB", "test") + os.environ.get("PYTEST_XDIST_WORKER", "")
FRONTED = "fronted"
WORKERS = ("n1", "n2", "n3", "n4")
SCALER = str(Path(sys.executable).with_name("scaler"))

# What scaler could write on a host: every file's digest, mode and owner.
TREE = """
import hashlib, json, os, sys
found = {}
for top in ("/etc", "/usr/local", "/var/lib/scaler", "/var/cache/scaler", "/var/lib/kubelet", "/var/lib/kube-proxy",
            "/var/lib/cni", "/opt"):
    for place, directories, files in os.walk(top):
        directories[:] = [d for d in directories if not os.path.ismount(os.path.join(place, d)) and d != "pods"]
        for name in files:
            path = os.path.join(place, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                told = os.stat(path)
                with open(path, "rb") as file:
                    found[path] = [hashlib.sha256(file.read()).hexdigest(), oct(told.st_mode), told.st_uid]
json.dump(found, sys.stdout)
"""
PROCESSES = """
import glob, json, sys
parents, there = {}, {}
for path in glob.glob("/proc/[0-9]*/stat"):
    try:
        text = open(path).read()
    except OSError:
        continue
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    pid = text.split()[0]
    parents[pid] = rest[1]
    if name in {UNITS}:
        there[pid] = name, rest[19]
found = {}
for pid, (name, began) in there.items():
    # Of these a child is one that works, and a child's child about to become another program, like a check; of other
    # units a child is that already.
    works = name in ("haproxy", "nginx", "keepalived") and parents.get(parents[pid]) == "1"
    if works or parents[pid] == "1":
        found[name + " " + pid] = began
json.dump(found, sys.stdout)
"""
UNITS = {
    "kubelet",
    "kube-proxy",
    "containerd",
    "kube-apiserver",
    "etcd",
    "kube-controller",
    "kube-scheduler",
    "haproxy",
    "nginx",
    "keepalived",
}


@dataclass
class Cluster:
    """The lab's cluster, and scaler as its user runs it."""

    where: Lab
    state: Path
    hosts: dict[str, Host]
    baseline: bytes = b""
    untouched: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def scaler(self, *argv: str, **environment: str) -> Completed:
        """Run scaler as a user does; below the hosts' own work, since in life the controller is another machine."""
        return run(
            ["nice", "-n", "10", SCALER, *argv], check=False, timeout=600, env={**self.environment, **environment}
        )

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start scaler and leave it running, its JSON lines to be read."""
        return subprocess.Popen(
            ["nice", "-n", "10", SCALER, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **self.environment},
        )

    def add(self, *argv: str, **more: str) -> tuple[int, dict[str, Any]]:
        """Run ``scaler add-node … --yes --output json``; return the exit code and the envelope."""
        return self.change("add-node", *argv, **more)

    def change(self, verb: str, *argv: str, **more: str) -> tuple[int, dict[str, Any]]:
        """Run ``scaler VERB … --yes --output json``; return the exit code and the envelope."""
        done = self.scaler(verb, *argv, "--cluster", self.where.name, "--yes", "--output", "json", **more)
        assert done.out, done.err
        return done.status, json.loads(done.out)

    def have_workers(self, *names: str, leaving: tuple[str, ...] = ()) -> None:
        """Let exactly ``names`` be nodes beside the master, by scaler itself; ``leaving`` is said to those that go."""
        there = set(self.nodes()) - {"m1"}
        if there - set(names):
            code, told = self.change("remove-node", *sorted(there - set(names)), "--ignore-daemonsets", *leaving)
            assert code == 0, told
        if set(names) - there:
            code, told = self.add(*sorted(set(names) - there))
            assert code == 0, told

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        """Run the cluster's kubectl."""
        return run(
            [SCALER, "kubectl", "--cluster", self.where.name, "--", *argv], stdin=stdin, env=self.environment
        ).out

    def nodes(self) -> dict[str, Any]:
        """Return the Nodes by name."""
        return {n["metadata"]["name"]: n for n in json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]}

    @property
    def inventory(self) -> Path:
        """The inventory's hosts file."""
        return self.where.inventory / "hosts.yml"

    @property
    def variables(self) -> Path:
        """The inventory's variables."""
        return self.where.inventory / "group_vars" / "all.yml"

    def tree(self, host: str) -> dict[str, Any]:
        """Return every file of ``host`` that scaler could have written."""
        told: dict[str, Any] = json.loads(self.hosts[host].exec(["python3", "-c", TREE]).out)
        return told

    def processes(self, host: str) -> dict[str, str]:
        """Return the components' processes on ``host`` with their start times."""
        script = PROCESSES.replace("{UNITS}", repr(sorted(UNITS)))
        told: dict[str, str] = json.loads(self.hosts[host].exec(["python3", "-c", script]).out)
        return told

    def pristine(self) -> None:
        """Bring everything back to one master and empty hosts on standby."""
        for name in self.nodes():
            if name != "m1":
                self.kubectl("delete", "node", name)
        self.fresh(*WORKERS)
        self.inventory.write_bytes(self.baseline)

    def fresh(self, *names: str) -> None:
        """Make ``names`` empty hosts again, but for those on which scaler has left nothing since they were that."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._fresh, names))

    def _fresh(self, name: str) -> None:
        if not (self.hosts[name].running and self._traces(name) == self.untouched[name]):
            self.anew(name)
            self.untouched[name] = self._traces(name)

    def anew(self, name: str) -> None:
        """Make ``name`` an empty host again, with its address and host key, whatever was done to it."""
        self.hosts[name].reset()
        self.hosts[name].power_on()

    def _traces(self, name: str) -> dict[str, Any]:
        """Return what tells whether scaler has left anything on a host since it was made."""
        host = self.hosts[name]
        rules, links = (host.exec(argv).out for argv in (["iptables", "-S"], ["ls", "/sys/class/net"]))
        gigabytes = round(host.disk.free() / 1e9, 1)
        return {
            "tree": self.tree(name),
            "processes": self.processes(name),
            "rules": rules,
            "links": links,
            "gigabytes": gigabytes,
        }


def made(name: str, state: Path, *, keep: bool, up: tuple[str, ...] = ()) -> Cluster:
    """Make the lab ``name`` and the cluster in it, or take those that are there where ``keep`` says so."""
    if os.geteuid() != 0:
        pytest.fail("the lab takes root")
    environment = {"SCALER_STATE_DIR": str(state)}
    where = Lab(name)
    if not keep:
        lab.down(name)
    run([SCALER, "lab", "up", "--name", name, *up], timeout=1800)
    hosts = {host.name: host for host in lab.find_hosts(name)}
    cluster = Cluster(where, state, hosts, environment=environment)
    baseline, fresh = where.root / "baseline.yml", where.root / "fresh.json"
    if not baseline.exists():
        fresh.write_text(json.dumps({host: cluster._traces(host) for host in hosts}))
        run([SCALER, "init", "--cluster", name, "--yes"], timeout=300, env=environment)
        shutil.copy2(cluster.inventory, baseline)
    cluster.baseline, cluster.untouched = baseline.read_bytes(), json.loads(fresh.read_text())
    return cluster


# What measures how long a write waits (marker ``alone``) comes first, while nothing else stands on the machine.
ALONE = ("test_etcd_grows", "test_masters_grow", "test_master_faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests on hosts behind all others, and those that measure first among them."""

    def place(item: pytest.Item) -> int:
        if item.path.parent != Path(__file__).parent:
            return 0
        return 1 + ALONE.index(item.path.stem) if item.path.stem in ALONE else 1 + len(ALONE)

    items.sort(key=place)


def kept() -> bool:
    """Tell whether labs stay up between runs, as who writes tests wants it."""
    return bool(os.environ.get("SCALER_TEST_KEEP_LAB"))


@pytest.fixture(scope="session")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster behind two HAProxies with a VIP, for tests that add masters; with as many of them as the last left."""
    up = ("--vip", "--loadbalancers", "2", "--masters", "4", "--workers", "0")
    try:
        yield made(FRONTED, tmp_path_factory.mktemp("state"), keep=kept(), up=up)
    finally:
        if not kept():
            lab.down(FRONTED)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    up = ("--workers", str(len(WORKERS)))
    try:
        yield made(NAME, tmp_path_factory.mktemp("state"), keep=kept(), up=up)
    finally:
        if not kept():
            lab.down(NAME)
