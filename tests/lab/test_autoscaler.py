"""The autoscaler's server drives the lab's hosts, called over mutual TLS; each test says how many run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from scaler.app import autoscaler_certificates
from scaler.engine import history
from scaler.engine.journal import STATE_VARIABLE
from scaler.gateways.externalgrpc.messages import message
from scaler.lab.tools import wait_until
from tests.fakes.autoscaler import Client, channel
from tests.lab.conftest import SCALER, WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

ADDRESS, METRICS = "127.0.0.1:18086", "127.0.0.1:18087"
POOLS = {"web": {"min": 1, "max": 3, "labels": {"disk": "ssd"}, "cpu": "1", "memory": "1Gi"}}


class Driven:
    """The cluster, its server as a process, and the autoscaler that calls it."""

    def __init__(self, cluster: Cluster, pki: Path) -> None:
        self.cluster = cluster
        self.pki = pki
        self.process: subprocess.Popen[bytes] | None = None
        self.call = Client(channel(int(ADDRESS.rpartition(":")[2]), pki))

    def start(self) -> None:
        """Start the server as its unit does, and wait until it has seen the cluster."""
        files = (self.pki / name for name in ("server.crt", "server.key", "ca.crt"))
        options = zip(("--cert", "--key", "--client-ca"), map(str, files), strict=True)
        argv = [SCALER, "autoscaler", "serve", "--cluster", self.cluster.where.name, "--listen", ADDRESS]
        argv += [*(word for pair in options for word in pair), "--metrics-listen", METRICS]
        with (self.cluster.where.root / "autoscaler.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "10", *argv], stderr=log, env={**os.environ, **self.cluster.environment}
            )
        wait_until(lambda: self.page("/readyz")[0] == 200, "the server has seen the cluster", timeout=60)

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{METRICS}{path}", timeout=5) as told:
                return told.status, told.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return 0, ""

    def end(self, number: int) -> int:
        """Send the server a signal; return its exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=180)

    def machines(self) -> dict[str, int]:
        """Return each machine's state by its host: 1 running, 2 creating, 3 deleting."""
        told = self.call("NodeGroupNodes", id="web").instances
        assert [each.status.errorInfo for each in told if each.status.errorInfo.errorCode] == []
        return {each.id.rpartition("/")[2]: each.status.instanceState for each in told}

    def serves(self) -> None:
        """Let the server run."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def begins_with(self, count: int) -> list[str]:
        """Let the server and so many machines run; return the machines' names."""
        self.serves()
        running = sorted(self.machines())
        if len(running) > count:
            leave = ("remove-node", *running[count:], "--to-standby", "--ignore-daemonsets")
            code, told = self.cluster.change(*leave)
            assert code == 0, told
            self.call("Refresh")
        elif len(running) < count:
            self.call("NodeGroupIncreaseSize", id="web", delta=count - len(running))
        wait_until(lambda: list(self.machines().values()) == [1] * count, f"{count} machines run", timeout=150)
        return sorted(self.machines())

    def ledger(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.state / "autoscaler.json").read_text())
        return told

    @property
    def state(self) -> Path:
        return self.cluster.state / self.cluster.where.name

    def has_begun(self, change: str, step: str) -> bool:
        """Tell whether a run of that change goes on, and has begun that step."""
        on = [run for run in history.runs(self.cluster.where.name) if run.going]
        return any(run.change == change and step in steps for run in on for steps in run.begun.values())

    def group(self, name: str) -> list[str]:
        told = YAML(typ="safe").load(self.cluster.inventory.read_text())
        groups = told.get("all", {}).get("children") or told
        return sorted((groups.get(name) or {}).get("hosts") or {})


@pytest.fixture(scope="module")
def driven(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    with pytest.MonkeyPatch.context() as here:
        # This process reads the journals itself.
        here.setenv(STATE_VARIABLE, str(cluster.state))
        yield from _driven(cluster, tmp_path_factory)


def _driven(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    cluster.pristine()
    variables = cluster.variables.read_text()
    pki = tmp_path_factory.mktemp("pki")
    autoscaler_certificates.make(pki, ["127.0.0.1"], datetime.now(UTC))
    made = Driven(cluster, pki)
    yaml = YAML()
    told = yaml.load(cluster.inventory.read_text())
    for name in WORKERS[:3]:
        told["all"]["children"]["standby"]["hosts"][name]["pool"] = "web"
    try:
        cluster.variables.write_text(f"{variables}\npools: {json.dumps(POOLS)}\n")
        with cluster.inventory.open("w") as file:
            yaml.dump(told, file)
        made.start()
        yield made
    finally:
        if made.process and made.process.poll() is None:
            made.end(signal.SIGTERM)
        cluster.inventory.write_bytes(cluster.baseline)
        cluster.variables.write_text(variables)
        cluster.pristine()


def node(name: str, driven: Driven) -> Any:
    return message("ExternalGrpcNode")(name=name, providerID=f"scaler://{driven.cluster.where.name}/{name}")


def test_a_pool_that_has_no_node_yet_is_told_whole(driven: Driven) -> None:
    driven.begins_with(0)
    call = driven.call
    assert [(group.id, group.minSize, group.maxSize) for group in call("NodeGroups").nodeGroups] == [("web", 1, 3)]
    made = message("Node", "scaler.kubernetes").FromString(call("NodeGroupTemplateNodeInfo", id="web").nodeBytes)
    assert (made.status.allocatable["memory"].string, made.metadata.labels["disk"]) == ("1Gi", "ssd")
    assert call("NodeGroupTargetSize", id="web").targetSize == 0
    assert call("NodeGroupForNode", node=message("ExternalGrpcNode")(name="m1")).nodeGroup.id == ""
    assert not call("NodeGroupGetOptions", id="web").HasField("nodeGroupAutoscalingOptions")
    assert (call("GPULabel").label, dict(call("GetAvailableGPUTypes").gpuTypes)) == ("accelerator", {})
    assert call.refused("PricingNodePrice")[0] == call.refused("PricingPodPrice")[0] == "UNIMPLEMENTED"
    call("Refresh")
    call("Cleanup")


def test_who_has_another_cas_certificate_is_refused(driven: Driven, tmp_path: Path) -> None:
    driven.serves()
    autoscaler_certificates.make(tmp_path, ["127.0.0.1"], datetime.now(UTC))
    with channel(int(ADDRESS.rpartition(":")[2]), driven.pki, client=tmp_path) as wrong:
        assert Client(wrong).refused("NodeGroups")[0] == "UNAVAILABLE"


def test_increases_at_once_survive_a_server_that_is_killed_and_nothing_comes_twice(driven: Driven) -> None:
    driven.begins_with(0)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: driven.call("NodeGroupIncreaseSize", id="web", delta=1), range(2)))
    assert driven.call("NodeGroupTargetSize", id="web").targetSize == 2
    coming = driven.machines()
    assert set(coming.values()) == {2}
    wait_until(lambda: driven.has_begun("add-node", "worker_installed"), "a run installs the workers", timeout=90)
    assert driven.end(signal.SIGKILL) == -signal.SIGKILL
    # As systemd does with what is left of a service.
    os.kill(json.loads((driven.state / "lock.holder").read_text())["pid"], signal.SIGKILL)
    assert {wish["host"] for wish in driven.ledger()["wishes"]} == set(coming)
    driven.start()
    assert driven.call("NodeGroupTargetSize", id="web").targetSize == 2
    wait_until(lambda: driven.machines() == dict.fromkeys(coming, 1), "both machines run", timeout=150)
    assert driven.group("workers") == sorted(coming)
    nodes = driven.cluster.nodes()
    assert set(nodes) == {"m1", *coming}
    for name in coming:
        assert nodes[name]["spec"]["providerID"] == f"scaler://{driven.cluster.where.name}/{name}"
        assert nodes[name]["metadata"]["labels"]["disk"] == "ssd"
        assert driven.call("NodeGroupForNode", node=node(name, driven)).nodeGroup.id == "web"


def test_what_is_there_is_never_taken_back_nor_goes_below_min(driven: Driven) -> None:
    coming = driven.begins_with(2)
    assert driven.call.refused("NodeGroupDecreaseTargetSize", id="web", delta=-1)[0] == "FAILED_PRECONDITION"
    both = [node(name, driven) for name in coming]
    assert driven.call.refused("NodeGroupDeleteNodes", id="web", nodes=both)[0] == "FAILED_PRECONDITION"
    assert driven.call.refused("NodeGroupDeleteNodes", id="web", nodes=[node("n4", driven)])[0] == "INVALID_ARGUMENT"
    assert driven.call.refused("NodeGroupIncreaseSize", id="web", delta=2)[0] == "OUT_OF_RANGE"
    assert sorted(driven.machines()) == coming


def test_a_machine_that_is_deleted_waits_on_standby_again(driven: Driven) -> None:
    first, second = driven.begins_with(2)
    driven.call("NodeGroupDeleteNodes", id="web", nodes=[node(first, driven)])
    assert driven.call("NodeGroupTargetSize", id="web").targetSize == 1
    assert driven.machines() == {first: 3, second: 1}
    wait_until(lambda: driven.machines() == {second: 1}, "the machine has left", timeout=120)
    assert (driven.group("workers"), first in driven.group("standby")) == ([second], True)
    assert set(driven.cluster.nodes()) == {"m1", second}
    assert 'scaler_autoscaler_group_ready{group="web"} 1\n' in driven.page("/metrics")[1]


def test_a_server_that_is_told_to_end_ends_well(driven: Driven) -> None:
    driven.begins_with(1)
    assert driven.end(signal.SIGTERM) == 0
    assert driven.ledger()["wishes"] == []
