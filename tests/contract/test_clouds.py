"""What holds for every cloud: the command line as a process of its own, against a server on loopback."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.drivers import cloud
from tests import servers
from tests.servers import gke, kubernetes
from tests.servers.tke import NATIVE, TkeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.base import FakePool, Nodes, Provider
    from tests.servers.kubernetes import ApiServer

pytestmark = pytest.mark.cloud

ROOT = Path(__file__).parents[2]
SERVERS: dict[str, Any] = {
    name: module.SERVER
    for _, name, _ in pkgutil.iter_modules(servers.__path__)
    if name in cloud.kinds() and hasattr(module := importlib.import_module(f"tests.servers.{name}"), "SERVER")
}


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kubernetes.running(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@dataclass
class Rig:
    """One cloud, one cluster, and the command line for it."""

    provider: Provider
    api: ApiServer
    home: Path
    environment: dict[str, str]
    wait_seconds: int = 60
    pools: dict[str, FakePool] = field(default_factory=dict)

    def write_inventory(self) -> None:
        variables = {
            "cluster_name": "prod",
            "admin_kubeconfig": str(self.api.kubeconfig),
            "kubectl": str(self.api.kubectl),
            "wait_seconds": self.wait_seconds,
            **self.provider.variables(),
        }
        directory = self.home / "inventories" / "prod" / "group_vars"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "all.yml").write_text(
            "".join(f"{name}: {json.dumps(value)}\n" for name, value in variables.items())
        )

    def start(self, *argv: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", "from scaler.cli.main import main; main()"]
        return subprocess.Popen(
            [*program, *argv, "--cluster", "prod", "--output", "json"],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self, *argv: str, ends: int = 0) -> dict[str, Any]:
        """Run a command that ends with ``ends``, and return its envelope."""
        with self.start(*argv) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == ends, f"{out}\n{err}"
        return cast("dict[str, Any]", json.loads(out.splitlines()[-1]))

    def waited_in_vain(self) -> None:
        """Let a run ask for 5 nodes, and end before the cloud has made them."""
        self.provider.fleet.seconds = 3600
        self.wait_seconds = 1
        self.write_inventory()
        self.told("scale", "--pool", "web", "--to", "5", "--yes", ends=21)
        self.wait_seconds = 60
        self.write_inventory()

    def until(self, there: Callable[[], object]) -> None:
        """Wait until something is ``there``."""
        end = time.monotonic() + 60
        while not there() and time.monotonic() < end:
            time.sleep(0.02)

    def sizes(self) -> list[int]:
        """Return the sizes that were asked for, in order, also by requests that were refused."""
        return [self.provider.size_asked(request) for request in self.provider.asked(*self.provider.sizes)]

    def ready(self, pool: FakePool) -> set[str]:
        return self.api.nodes.names(f"{pool.label}={pool.value}")


@pytest.fixture(scope="session", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, api: ApiServer) -> Iterator[Provider]:
    made: Provider = SERVERS[request.param](cast("Nodes", api.nodes))
    yield made
    made.close()


@pytest.fixture
def rig(server: Provider, api: ApiServer, cache: Path, tmp_path: Path) -> Iterator[Rig]:
    server.forget()
    server.fleet.pools.clear()
    server.fleet.seconds, server.fleet.joins = 0.1, True
    api.nodes.clear()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "SCALER_STATE_DIR": str(tmp_path / "state"),
        "SCALER_CACHE_DIR": str(cache),
        "SCALER_INVENTORIES": str(tmp_path / "inventories"),
        "SCALER_POLL_SECONDS": "0.05",
        **server.environment(tmp_path),
    }
    made = Rig(server, api, tmp_path, environment)
    made.write_inventory()
    made.pools["web"] = server.add_pool("web", 3, max=12)
    server.forget()
    yield made
    server.forget()


def test_every_cloud_has_its_server() -> None:
    assert set(SERVERS) == set(cloud.kinds())


def test_pools_are_listed_with_target_bounds_and_state(rig: Rig) -> None:
    rig.provider.add_pool("batch", 2)
    pools = {pool["name"]: pool for pool in rig.told("pool", "list")["data"]["pools"]}
    assert set(pools) == {"web", "batch"}
    assert (pools["web"]["target"], pools["web"]["actual"]) == (3, 3)
    # Some clouds have bounds only where an autoscaler moves the pool.
    assert pools["web"]["max"] in {12, None}
    assert pools["web"]["state"] == "ready"


def test_a_pool_grows_to_an_absolute_size_until_its_nodes_are_ready(rig: Rig) -> None:
    told = rig.told("scale", "--pool", "web", "--to", "5", "--yes")
    assert told["data"]["changed"] is True
    assert rig.sizes() == [5]
    assert len(rig.ready(rig.pools["web"])) == 5
    assert len(told["data"]["added"]) == 2
    assert set(told["data"]["added"]) < rig.ready(rig.pools["web"])


def test_while_one_changes_the_cluster_a_second_is_refused_and_told_who(rig: Rig) -> None:
    rig.provider.fleet.seconds = 3600
    with rig.start("scale", "--pool", "web", "--to", "5", "--yes") as first:
        rig.until(rig.sizes)
        told = rig.told("scale", "--pool", "web", "--to", "6", "--yes", ends=6)
        first.kill()
    assert str(first.pid) in told["error"]["message"]
    assert rig.sizes() == [5]


def test_a_plan_asks_for_nothing(rig: Rig) -> None:
    told = rig.told("scale", "--pool", "web", "--to", "5", "--plan")
    assert [step["step"] for step in told["data"]["plan"]["steps"]] == ["pool_sized", "pool_nodes_ready"]
    assert rig.sizes() == []


def test_with_verify_the_new_nodes_are_proven_last(rig: Rig) -> None:
    def planned(*argv: str) -> list[str]:
        return [step["step"] for step in rig.told(*argv, "--verify", "--plan")["data"]["plan"]["steps"]]

    grown = planned("add-node", "--pool", "web", "--count", "2")
    assert grown == ["pool_sized", "pool_nodes_ready", "pool_nodes_verified"]
    made = planned("pool", "create", "batch", "--like", "web", "--size", "2")
    assert made == ["pool_created", "pool_nodes_ready", "pool_nodes_verified"]
    assert rig.sizes() == []


def test_the_same_size_needs_nothing(rig: Rig) -> None:
    told = rig.told("scale", "--pool", "web", "--to", "3", "--yes")
    assert (told["data"]["changed"], rig.sizes()) == (False, [])


def test_more_is_an_absolute_number_on_the_wire(rig: Rig) -> None:
    rig.told("add-node", "--pool", "web", "--count", "2", "--yes")
    assert rig.sizes() == [5]


def test_fewer_are_drained_and_ended_by_name(rig: Rig) -> None:
    rig.told("scale", "--pool", "web", "--to", "-2", "--yes")
    ended = [name for request in rig.provider.asked(*rig.provider.removals) for name in rig.provider.removed(request)]
    assert len(ended) == 2
    assert (rig.pools["web"].target, len(rig.ready(rig.pools["web"]))) == (1, 1)


def test_fewer_by_the_clouds_own_choice_is_a_size(rig: Rig) -> None:
    rig.told("scale", "--pool", "web", "--to", "1", "--provider-picks", "--yes")
    assert rig.sizes() == [1]
    assert rig.provider.asked(*rig.provider.removals) == []


def test_beyond_a_bound_nothing_is_asked(rig: Rig) -> None:
    # Some clouds have bounds only where an autoscaler moves the pool.
    rig.pools["web"].autoscaled = True
    told = rig.told("scale", "--pool", "web", "--to", "13", "--autoscaler", "keep", "--yes", ends=5)
    assert "max 12" in told["error"]["message"]
    assert rig.sizes() == []


def test_at_a_bound_is_within(rig: Rig) -> None:
    rig.told("scale", "--pool", "web", "--to", "12", "--yes")
    assert len(rig.ready(rig.pools["web"])) == 12


def test_an_autoscaled_pool_is_left_alone_unless_it_is_said(rig: Rig) -> None:
    rig.pools["web"].autoscaled = True
    if rig.provider.kind == "eks":
        # Its API does not tell whether the Cluster Autoscaler runs; that one itself tells it in the cluster.
        rig.api.nodes.autoscaled("eks-web-7ac1b2c3-0000-1111-2222-333344445555")
    rig.told("scale", "--pool", "web", "--to", "5", "--yes", ends=5)
    rig.told("remove-node", min(rig.ready(rig.pools["web"])), "--yes", ends=5)
    assert rig.sizes() == []
    assert rig.provider.asked(*rig.provider.removals) == []
    told = rig.told("scale", "--pool", "web", "--to", "5", "--autoscaler", "keep", "--yes")
    assert rig.sizes() == [5]
    (warning,) = told["data"]["plan"]["warnings"]
    assert "may change the size again" in warning


def test_an_autoscaler_is_disabled_or_pinned_whether_a_pool_grows_or_shrinks(rig: Rig) -> None:
    web = rig.pools["web"]
    web.autoscaled = True
    if rig.provider.kind == "eks":
        # It has none of its own that could be switched: that is said, and nothing else is done.
        for word in ("disable", "pin"):
            told = rig.told("scale", "--pool", "web", "--to", "5", "--autoscaler", word, "--yes", ends=20)
            assert "scaler pool autoscale web" in told["error"]["hint"]
        assert rig.sizes() == []
        return
    rig.told("scale", "--pool", "web", "--to", "5", "--autoscaler", "disable", "--yes")
    assert (web.autoscaled, web.target) == (False, 5)
    web.autoscaled, web.min, web.max = True, 1, 12
    # A server that tells what it was sent last forgets it.
    web.more.pop("autoscaling", None)
    rig.told("scale", "--pool", "web", "--to", "4", "--autoscaler", "pin", "--yes")
    assert (web.autoscaled, web.min, web.max, web.target) == (True, 4, 4, 4)
    assert len(rig.ready(web)) == 4


def test_an_autoscaler_that_is_off_is_not_pinned(rig: Rig) -> None:
    told = rig.told("scale", "--pool", "web", "--to", "13", "--autoscaler", "pin", "--yes", ends=_refused(rig))
    assert "--autoscaler pin" in told["error"]["message"]
    assert rig.sizes() == []


def _refused(rig: Rig) -> int:
    """Return how a pool ends that is to be pinned and has no autoscaler; EKS has none at all."""
    return 20 if rig.provider.kind == "eks" else 3


def test_a_conflict_is_told_with_the_clouds_code(rig: Rig) -> None:
    rig.provider.faults.set("conflict", 9)
    told = rig.told("scale", "--pool", "web", "--to", "5", "--yes", ends=15)
    assert told["error"]["kind"] == "conflict"
    assert told["error"]["message"].endswith(")")


def test_a_quota_is_told_and_nothing_is_repeated(rig: Rig) -> None:
    rig.provider.faults.set("quota", 9)
    told = rig.told("scale", "--pool", "web", "--to", "5", "--yes", ends=16)
    assert told["error"]["kind"] == "quota"
    assert rig.sizes() == [5]


def test_some_of_what_was_asked_is_told_with_the_reason(rig: Rig) -> None:
    rig.provider.faults.sold_out = 3
    told = rig.told("scale", "--pool", "web", "--to", "10", "--yes", ends=2)
    assert "asked for 10, got 7" in told["error"]["message"]
    assert "sold out" in told["error"]["message"]


def test_a_rollback_asks_for_what_arrived(rig: Rig) -> None:
    rig.provider.faults.sold_out = 3
    rig.told("scale", "--pool", "web", "--to", "10", "--rollback", "--yes", ends=2)
    assert rig.sizes() == [10, 7]


def test_nothing_to_be_had_is_sold_out_and_a_rollback_goes_to_what_was(rig: Rig) -> None:
    rig.provider.faults.sold_out = 2
    told = rig.told("scale", "--pool", "web", "--to", "5", "--rollback", "--yes", ends=17)
    assert "sold out" in told["error"]["message"]
    assert rig.sizes() == [5, 3]


def test_what_takes_too_long_goes_on_and_is_resumed(rig: Rig) -> None:
    rig.waited_in_vain()
    asked = len(rig.provider.asked())
    with rig.start("runs", "resume", "--yes") as process:
        # More than it takes to plan: it waits.
        rig.until(lambda: len(rig.provider.asked()) > asked + 40)
        rig.provider.fleet.let_pass()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, f"{out}\n{err}"
    assert json.loads(out.splitlines()[-1])["data"]["changed"] is True
    assert rig.sizes() == [5]


def test_a_run_is_not_gone_on_with_where_somebody_changed_the_pool_since(rig: Rig) -> None:
    rig.waited_in_vain()
    rig.provider.fleet.let_pass()
    rig.provider.fleet.seconds = 0.1
    mine = rig.environment["SCALER_STATE_DIR"]
    rig.environment["SCALER_STATE_DIR"] = str(rig.home / "another-controller")
    rig.told("scale", "--pool", "web", "--to", "8", "--yes")
    rig.environment["SCALER_STATE_DIR"] = mine
    told = rig.told("runs", "resume", "--yes", ends=15)
    assert "now it has 8" in told["error"]["message"]
    assert rig.sizes() == [5, 8]


def test_a_throttled_write_is_repeated(rig: Rig) -> None:
    rig.provider.faults.set("throttle", 2)
    rig.told("scale", "--pool", "web", "--to", "5", "--yes")
    assert rig.sizes() == [5, 5, 5]


def test_a_throttle_that_lasts_is_told(rig: Rig) -> None:
    rig.provider.faults.set("throttle", 99)
    rig.told("scale", "--pool", "web", "--to", "5", "--yes", ends=18)
    assert len(rig.sizes()) == 5


def test_an_answer_that_was_lost_is_looked_for_and_not_asked_again(rig: Rig) -> None:
    rig.provider.faults.set("cut")
    rig.told("scale", "--pool", "web", "--to", "5", "--yes")
    assert rig.sizes() == [5]
    assert len(rig.ready(rig.pools["web"])) == 5


def test_a_request_that_was_lost_is_sent_again(rig: Rig) -> None:
    rig.provider.faults.set("cut_before")
    rig.told("scale", "--pool", "web", "--to", "5", "--yes")
    assert rig.sizes() == [5, 5]


def test_a_removal_whose_answer_was_lost_is_not_sent_again(rig: Rig) -> None:
    rig.provider.faults.set("cut")
    rig.told("remove-node", *sorted(rig.ready(rig.pools["web"]))[:1], "--yes")
    assert len(rig.provider.asked(*rig.provider.removals)) == 1
    assert rig.pools["web"].target == 2


def test_a_removal_that_was_lost_on_its_way_is_told_and_not_sent_again(rig: Rig) -> None:
    rig.provider.faults.set("cut_before")
    told = rig.told("remove-node", *sorted(rig.ready(rig.pools["web"]))[:1], "--yes", ends=19)
    assert told["error"]["kind"] == "ambiguous"
    assert len(rig.provider.asked(*rig.provider.removals)) == 1
    # Its machine may be ending: no pod is to come there.
    assert rig.api.nodes.closed() == set(told["data"]["left"])
    assert rig.api.nodes.closed()


def test_a_killed_run_is_resumed_without_asking_again(rig: Rig) -> None:
    rig.provider.fleet.seconds = 2
    with rig.start("scale", "--pool", "web", "--to", "+2", "--yes") as process:
        rig.until(rig.sizes)
        process.send_signal(signal.SIGKILL)
    runs = rig.told("runs", "list", "--unfinished")["data"]["runs"]
    assert [(run["change"], run["status"]) for run in runs] == [("scale", "interrupted")]
    rig.told("runs", "resume", "--yes")
    assert rig.sizes() == [5]
    assert len(rig.ready(rig.pools["web"])) == 5
    assert rig.told("runs", "list", "--unfinished")["data"]["runs"] == []


def test_every_page_is_read(rig: Rig) -> None:
    rig.provider.fleet.joins = False
    rig.provider.add_pool("big", 320)
    told = rig.told("pool", "show", "big")["data"]
    assert len({each["id"] for each in told["instances"]}) == 320


def test_given_nodes_leave_and_no_others(rig: Rig) -> None:
    pool = rig.pools["web"]
    leaving = pool.machines[1]
    rig.told("remove-node", leaving.node, "--yes")
    ended = [name for request in rig.provider.asked(*rig.provider.removals) for name in rig.provider.removed(request)]
    assert ended == [leaving.id]
    assert leaving.node not in rig.ready(pool)
    assert (pool.target, len(rig.ready(pool))) == (2, 2)


def test_of_zones_that_are_sized_alike_any_node_can_leave_and_the_fullest_zones_give(rig: Rig) -> None:
    if rig.provider.kind != "gke":
        # It alone counts by zone.
        return
    pool = rig.provider.add_pool("zonal", 6, zones=gke.ZONES)
    rig.told("remove-node", pool.machines[0].node, "--yes")
    assert (pool.target, len(rig.ready(pool))) == (5, 5)
    rig.told("scale", "--pool", "zonal", "--to", "3", "--yes")
    assert sorted(each.zone for each in pool.machines) == sorted(gke.ZONES)
    assert rig.sizes() == []


def test_a_node_that_is_gone_needs_nothing(rig: Rig) -> None:
    told = rig.told("remove-node", "web-9999", "--yes")
    assert (told["data"]["changed"], told["data"]["present"]) == (False, ["web-9999"])


def test_masters_come_where_they_are_the_customers_and_are_asked_for_once(rig: Rig) -> None:
    new = ("ins-00000a01", "ins-00000a02")
    server = rig.provider
    if not isinstance(server, TkeServer):
        told = rig.told("add-master", *new, "--yes", ends=20)
        assert "adding masters is not offered by this provider" in told["error"]["message"]
        return
    server.cluster_type = "INDEPENDENT_CLUSTER"
    server.add_master("ins-00000a00")
    server.faults.set("cut")
    rig.told("add-master", *new, "--yes", ends=19)
    assert rig.told("runs", "resume", "--yes")["data"]["changed"] is True
    assert len(server.asked("ScaleOutClusterMaster")) == 1
    assert [machine.id for machine in server.masters] == ["ins-00000a00", *new]


def test_who_is_not_known_is_told(rig: Rig) -> None:
    rig.environment |= rig.provider.stranger()
    told = rig.told("pool", "list", ends=14)
    assert told["error"]["kind"] == "credentials"


def test_the_status_shows_pools_and_nodes(rig: Rig) -> None:
    told = rig.told("status")["data"]
    assert [(pool["name"], pool["target"], pool["ready"]) for pool in told["pools"]] == [("web", 3, 3)]
    rig.api.nodes.remove(rig.pools["web"].machines[0].node)
    told = rig.told("status", ends=4)["data"]
    assert "2 of 3" in told["problems"][0]["message"]


def test_bounds_move_and_the_size_stays(rig: Rig) -> None:
    rig.told("pool", "autoscale", "web", "--min", "2", "--max", "20", "--yes")
    assert (rig.pools["web"].min, rig.pools["web"].max, rig.pools["web"].target) == (2, 20, 3)


def test_an_autoscaler_that_was_switched_off_is_off(rig: Rig) -> None:
    rig.pools["web"].autoscaled = True
    off = ("pool", "autoscale", "web", "--off", "--yes")
    if rig.provider.kind == "eks":
        rig.told(*off, ends=20)
        return
    assert rig.told(*off)["data"]["changed"] is True
    assert (rig.pools["web"].autoscaled, rig.pools["web"].target) == (False, 3)
    # Most clouds have no bounds now that could be compared with what was asked for.
    assert rig.told(*off)["data"]["changed"] is False


def test_a_pool_is_made_like_another_one_whose_bounds_it_is_outside_of(rig: Rig) -> None:
    more = {"more": {"type": "Native", "native": NATIVE}} if rig.provider.kind == "tke" else {}
    rig.provider.add_pool("model", 3, min=3, max=12, autoscaled=True, **more)
    rig.told("pool", "create", "batch", "--like", "model", "--size", "2", "--yes")
    (made,) = [pool for pool in rig.provider.fleet.pools.values() if pool.name == "batch"]
    assert (made.target, len(rig.ready(made))) == (2, 2)
    assert made.min <= 2


def test_a_pool_that_the_cloud_does_not_delete_has_its_nodes_open_again(rig: Rig) -> None:
    batch = rig.provider.add_pool("batch", 2)
    rig.provider.faults.set("conflict", 9)
    told = rig.told("pool", "delete", "batch", "--yes", ends=15)
    assert told["error"]["kind"] == "conflict"
    assert (len(rig.ready(batch)), rig.api.nodes.closed()) == (2, set())


def test_a_pool_is_emptied_and_deleted_but_not_the_last(rig: Rig) -> None:
    rig.told("pool", "delete", "web", "--yes", ends=5)
    rig.provider.add_pool("batch", 2)
    rig.told("pool", "delete", "batch", "--yes")
    assert [pool.name for pool in rig.provider.fleet.pools.values()] == ["web"]
