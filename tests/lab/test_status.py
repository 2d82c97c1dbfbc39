"""What scaler status tells of a real cluster: one that is well, and one of which a part is stopped."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler.lab.tools import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab


class Looked(NamedTuple):
    code: int
    data: dict[str, Any]
    seconds: float

    @property
    def problems(self) -> list[str]:
        return [problem["message"] for problem in self.data["problems"] if not problem["warning"]]


class Looks:
    """scaler status on the lab's cluster, with journals of its own: other tests kill runs."""

    def __init__(self, cluster: Cluster, state: Path) -> None:
        self.cluster, self._state = cluster, {"SCALER_STATE_DIR": str(state)}

    def look(self) -> Looked:
        began = time.monotonic()
        done = self.cluster.scaler("status", "--cluster", self.cluster.where.name, "--output", "json", **self._state)
        assert done.out, done.err
        told = json.loads(done.out)
        assert told["exit_code"] == done.status
        return Looked(done.status, told["data"], time.monotonic() - began)

    def is_well(self) -> bool:
        return self.look().code == 0

    @contextmanager
    def stopped(self, host: str, unit: str) -> Iterator[None]:
        """Stop a unit, and bring the cluster back to where it is well."""
        self.cluster.hosts[host].exec(["systemctl", "stop", unit])
        try:
            yield
        finally:
            self.cluster.hosts[host].exec(["systemctl", "start", unit])
            wait_until(self.is_well, f"the cluster is well again with {unit} of {host}", timeout=90)


@pytest.fixture(scope="module")
def looks(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Looks:
    made = Looks(cluster, tmp_path_factory.mktemp("status"))
    cluster.pristine()
    code, envelope = cluster.add("n1")
    assert code == 0, envelope
    wait_until(made.is_well, "the cluster is well", timeout=60)
    return made


def test_a_cluster_that_is_well_ends_with_0_and_tells_every_section(looks: Looks) -> None:
    seen = looks.look()
    assert (seen.code, seen.problems) == (0, [])
    assert {node["name"]: node["ready"] for node in seen.data["nodes"]} == {"m1": True, "n1": True}
    (member,) = seen.data["etcd"]["members"]
    assert (member["name"], member["healthy"], member["leader"], member["db_bytes"] > 0) == ("m1", True, True, True)
    (master,) = seen.data["masters"]
    assert (master["ready"], master["etcd_servers"]) == (True, [member["url"]])
    assert [[b["up"] for b in balancer["backends"]] for balancer in seen.data["balancers"]] == [[True]]
    shown = {each["what"] for each in seen.data["certificates"] if each["host"] == "m1"}
    assert shown >= {f"{master['address']}:6443", "127.0.0.1:2379", "/etc/etcd/pki/server.crt"}
    assert shown >= {"/var/lib/kubelet/pki/kubelet-client-current.pem", "/etc/kubernetes/scheduler.kubeconfig"}
    assert set(seen.data["proxy"]) == {"m1"}
    assert seen.data["unknown"] == []


def test_a_person_gets_one_screen(looks: Looks) -> None:
    done = looks.cluster.scaler("status", "--cluster", looks.cluster.where.name)
    assert len(done.out.splitlines()) <= 40
    assert "nodes: 2 of 2 Ready" in done.out


def test_with_the_api_server_stopped_etcd_and_hosts_are_shown(looks: Looks) -> None:
    with looks.stopped("m1", "kube-apiserver"):
        seen = looks.look()
    assert (seen.code, seen.data["nodes"], seen.data["api"]) == (4, None, False)
    assert [member["healthy"] for member in seen.data["etcd"]["members"]] == [True]
    assert set(seen.data["hosts"].values()) == {""}
    assert any(problem.startswith("master m1: its API server is not ready") for problem in seen.problems)


@pytest.mark.long
def test_with_etcd_stopped_its_member_is_not_healthy(looks: Looks) -> None:
    with looks.stopped("m1", "etcd"):
        seen = looks.look()
    assert seen.code == 4
    assert any(problem.startswith("etcd: m1 is not healthy") for problem in seen.problems)
    assert "etcd: 0 of 1 voters are known to be healthy; quorum is 1" in seen.problems


@pytest.mark.long
def test_a_host_that_is_cut_off_is_not_known_in_time(looks: Looks) -> None:
    lb = next(name for name in looks.cluster.hosts if name.startswith("lb"))
    looks.cluster.hosts[lb].cut()
    try:
        seen = looks.look()
    finally:
        looks.cluster.hosts[lb].mend()
    assert seen.code == 4
    assert any(problem.startswith(f"host {lb}: not known") for problem in seen.problems)
    assert {node["name"] for node in seen.data["nodes"]} == {"m1", "n1"}
    assert seen.data["told_by"] == "m1"
    # Ten seconds of asking; the rest is Python and the inventory on a busy machine.
    assert seen.seconds < 25


def test_a_stopped_kubelet_is_a_node_that_is_not_ready(looks: Looks) -> None:
    def told() -> bool:
        return any(problem.startswith("node n1 is not Ready") for problem in looks.look().problems)

    with looks.stopped("n1", "kubelet"):
        wait_until(told, "the node is told as not Ready", timeout=90)
