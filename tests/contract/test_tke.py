"""What goes out to TKE, by the server's own record, and what only TKE has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.drivers import cloud
from scaler.drivers.cloud.tke import Tke
from scaler.drivers.cloud_calls import Calls
from scaler.errors import AmbiguousError, CredentialsError, NotOfferedError
from scaler.model.clouds import MANAGED
from scaler.model.pools import Autoscaling, PoolSpec
from tests.fakes.clock import FakeClock
from tests.servers.tke import NATIVE, TkeServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.cloud


class NoNodes:
    """A cluster that nobody looks at."""

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
        """Forget it."""

    def remove(self, name: str) -> None:
        """Forget it."""


@pytest.fixture
def server() -> Iterator[TkeServer]:
    made = TkeServer(NoNodes())
    made.fleet.seconds = 0
    yield made
    made.close()


def driver(server: TkeServer, home: Path, **more: str) -> Tke:
    clock = FakeClock()
    settings = {**server.variables(), "cluster_name": "prod", "admin_kubeconfig": home}
    doors = cloud.Doors(
        cluster=MANAGED.validate_python(settings),
        clock=clock,
        environment={**server.environment(home), **more},
        make_calls=lambda translate: Calls(clock, translate),
    )
    return Tke(doors)


@pytest.fixture
def tke(server: TkeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tke:
    for name, value in server.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return driver(server, tmp_path)


def bodies(server: TkeServer) -> list[tuple[str, Any]]:
    return [(request.action, request.json) for request in server.asked() if server.writes(request)]


def test_a_size_goes_out_alone(tke: Tke, server: TkeServer) -> None:
    pool = server.add_pool("web", 3)
    operation = tke.set_size(tke.pools()[0], 5)
    wanted = {"ClusterId": server.cluster_id, "NodePoolId": pool.id, "DesiredCapacity": 5}
    assert bodies(server) == [("ModifyNodePoolDesiredCapacityAboutAsg", wanted)]
    assert (operation.target, operation.id, operation.request != "") == (5, "", True)


def test_bounds_go_out_without_a_size(tke: Tke, server: TkeServer) -> None:
    pool = server.add_pool("web", 3)
    tke.set_autoscaling(tke.pools()[0], Autoscaling(on=True, min=2, max=9))
    wanted = {
        "ClusterId": server.cluster_id,
        "NodePoolId": pool.id,
        "EnableAutoscale": True,
        "MinNodesNum": 2,
        "MaxNodesNum": 9,
    }
    assert bodies(server) == [("ModifyClusterNodePool", wanted)]


def test_a_native_pool_has_calls_of_its_own(tke: Tke, server: TkeServer) -> None:
    pool = server.add_pool("fast", 2, more={"type": "Native", "native": NATIVE})
    seen = tke.pools()[0]
    tke.set_size(seen, 4)
    tke.set_autoscaling(seen, Autoscaling(on=False, min=0, max=9))
    tke.remove_instances(seen, tke.instances(seen)[:1])
    assert [(action, set(body) - {"ClusterId"}) for action, body in bodies(server)] == [
        ("ScaleNodePool", {"NodePoolId", "Replicas"}),
        ("ModifyNodePool", {"NodePoolId", "Native"}),
        ("DeleteClusterMachines", {"MachineNames", "EnableScaleDown"}),
    ]
    assert pool.target == 3


def test_a_native_pool_is_copied_and_a_regular_one_is_not(tke: Tke, server: TkeServer) -> None:
    server.add_pool("fast", 2, more={"type": "Native", "native": NATIVE})
    server.add_pool("web", 1)
    pools = {pool.name: pool for pool in tke.pools()}
    tke.create_like(pools["fast"], PoolSpec(name="faster", size=3))
    ((action, body),) = bodies(server)
    assert (action, body["Name"], body["Type"], body["Native"]["Replicas"]) == ("CreateNodePool", "faster", "Native", 3)
    assert body["Native"]["SubnetIds"] == ["subnet-1"]
    assert "KeyIds" not in body["Native"]
    with pytest.raises(NotOfferedError):
        tke.create_like(pools["web"], PoolSpec(name="more", size=3))


def test_a_pool_like_an_autoscaled_one_is_autoscaled_around_its_size(tke: Tke, server: TkeServer) -> None:
    server.add_pool("fast", 2, min=2, max=4, autoscaled=True, more={"type": "Native", "native": NATIVE})
    for name, size, bounds in (("bigger", 6, (2, 6)), ("smaller", 1, (1, 4))):
        server.forget()
        tke.create_like(tke.pools()[0], PoolSpec(name=name, size=size))
        native = bodies(server)[0][1]["Native"]
        scaling = native["Scaling"]
        assert (native["EnableAutoscaling"], scaling["MinReplicas"], scaling["MaxReplicas"]) == (True, *bounds)
        assert scaling["CreatePolicy"] == "ZoneEquality"
    made = {pool.name: pool for pool in tke.pools()}["bigger"]
    assert (made.autoscaled, made.min, made.max) == (True, 2, 6)


def test_a_pool_is_made_with_bounds_of_its_own(tke: Tke, server: TkeServer) -> None:
    server.add_pool("fast", 2, min=2, max=4, autoscaled=True, more={"type": "Native", "native": NATIVE})
    spec = PoolSpec(name="faster", size=3, autoscaling=Autoscaling(on=False, min=0, max=9))
    tke.create_like(tke.pools()[0], spec)
    native = bodies(server)[0][1]["Native"]
    told = (native["EnableAutoscaling"], native["Scaling"]["MinReplicas"], native["Scaling"]["MaxReplicas"])
    assert told == (False, 0, 9)


def test_a_machine_that_is_not_up_yet_is_ended_by_force(tke: Tke, server: TkeServer) -> None:
    pool = server.add_pool("web", 2)
    server.fleet.seconds = 60
    server.fleet.want(pool, 3)
    seen = tke.pools()[0]
    tke.remove_instances(seen, tke.instances(seen)[1:])
    assert [body.get("ForceDelete") for _, body in bodies(server)] == [None, True]


def test_a_machine_that_is_refused_is_told(tke: Tke, server: TkeServer) -> None:
    pool = server.add_pool("web", 3)
    server.faults.refuse = {pool.machines[0].id}
    seen = tke.pools()[0]
    operation = tke.remove_instances(seen, tke.instances(seen)[:2])
    assert [trouble.what for trouble in operation.troubles] == [pool.machines[0].id]
    assert operation.instances == (pool.machines[1].id,)


def test_a_removal_whose_answer_is_a_502_is_not_repeated(tke: Tke, server: TkeServer) -> None:
    server.add_pool("web", 3)
    seen = tke.pools()[0]
    machines = tke.instances(seen)
    server.faults.set("broken", 9)
    with pytest.raises(AmbiguousError):
        tke.remove_instances(seen, machines[:1])
    assert len(bodies(server)) == 1


def test_masters_are_added_once_and_only_to_an_independent_cluster(tke: Tke, server: TkeServer) -> None:
    with pytest.raises(NotOfferedError):
        tke.masters()
    server.cluster_type = "INDEPENDENT_CLUSTER"
    server.add_master("ins-1")
    operation = tke.add_masters(["ins-2", "ins-3"])
    assert (operation.target, tke.poll(operation).state) == (3, "done")
    node = {"NodeRole": "MASTER_ETCD", "ExistedInstancesPara": {"InstanceIds": ["ins-2", "ins-3"]}}
    assert bodies(server) == [
        ("ScaleOutClusterMaster", {"ClusterId": server.cluster_id, "ExistedInstancesForNode": [node]})
    ]


def test_the_token_of_temporary_credentials_goes_out(tmp_path: Path, server: TkeServer) -> None:
    server.add_pool("web", 1)
    driver(server, tmp_path, TENCENTCLOUD_TOKEN="temporary").pools()
    assert server.asked()[0].headers["x-tc-token"] == "temporary"


def test_a_wrong_secret_is_refused_by_the_signature(
    tmp_path: Path, server: TkeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "AKIDtest")
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "wrong")
    with pytest.raises(CredentialsError, match="SignatureFailure"):
        driver(server, tmp_path).pools()


def test_the_server_refuses_what_the_specification_does_not_know(server: TkeServer, tke: Tke) -> None:
    server.add_pool("web", 1)
    with pytest.raises(Exception, match="Surprise is unknown"):
        tke._calls.read(lambda: tke._call(_client(), "DescribeNodePools", {"Surprise": 1}, _told()))


def _client() -> Any:
    from tencentcloud.tke.v20220501.tke_client import TkeClient  # noqa: PLC0415

    return TkeClient


def _told() -> Any:
    from scaler.drivers.cloud_tke_api import Done  # noqa: PLC0415

    return Done
