"""Machines come and go as an autoscaler wishes, or do not come, and it is told so that it backs off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from scaler.engine import lock
from tests.clients.externalgrpc import (
    CREATE_ERROR,
    OTHER,
    OUT_OF_RESOURCES,
    UNREGISTERED,
    Autoscaler,
    Instance,
    quantities,
)
from tests.servers.autoscaled import POOLS, Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.kubernetes import ApiServer

pytestmark = pytest.mark.cloud
Code = grpc.StatusCode


@pytest.fixture
def begin(api_server: ApiServer, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start the server of a cluster with the given pools, workers and hosts on standby."""
    made: list[Served] = []

    def _begin(**how: Any) -> Served:
        made.append(Served(api_server, tmp_path, **how).__enter__())
        return made[0]

    yield _begin
    for one in made:
        one.__exit__(None, None, None)
        assert not one.overlaps()


def code_of(call: Callable[..., object], *args: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        call(*args)
    code: grpc.StatusCode = refused.value.code()
    return code


def states(autoscaler: Autoscaler, group: str = "web") -> list[str]:
    return sorted(one.state for one in autoscaler.instances(group))


def failed(autoscaler: Autoscaler, group: str = "web") -> list[Instance]:
    return [one for one in autoscaler.instances(group) if one.failed]


def host_of(instance: Instance) -> str:
    return instance.id.rpartition("/")[2]


def test_machines_come_and_go(begin: Callable[..., Served]) -> None:
    served = begin()
    served.hold()
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 2)
        assert autoscaler.target("web") == 3
        assert states(autoscaler) == ["creating", "creating", "running"]
        seen = autoscaler.look(served.nodes())
        come = {host_of(one) for one in seen.unregistered["web"] if one.state == "creating"}
        assert len(come) == 2
        assert come < {"s1", "s2", "s3", "s4", "s5"}
        assert all(autoscaler.group_of(one.fake(UNREGISTERED)) for one in seen.unregistered["web"])

        served.release()
        served.until(lambda: states(autoscaler) == ["running"] * 3)
        served.until(lambda: all(served.node(name).provider_id for name in come))
        assert served.group("workers") == {"w1", *come}
        seen = autoscaler.look(served.nodes())
        assert (seen.targets["web"], seen.unregistered["web"]) == (3, [])
        assert [seen.group_of[name] for name in sorted(come)] == ["web", "web"]

        served.hold()
        gone = served.node(min(come))
        autoscaler.delete("web", [gone, gone])
        assert autoscaler.target("web") == 2
        assert states(autoscaler) == ["deleting", "running", "running"]
        served.release()
        served.until(lambda: states(autoscaler) == ["running", "running"])
        assert gone.name in served.group("standby")
        assert gone.name not in {one.name for one in served.nodes()}
        autoscaler.refresh()
        assert autoscaler.group_of(gone) is None
    add, remove = served.runs()
    assert (add["verb"], set(add["hosts"])) == ("add-node", come)
    assert (remove["verb"], remove["hosts"]) == ("remove-node", [gone.name])
    assert "--to-standby" in remove["argv"]


@pytest.mark.long
def test_a_template_is_told_by_a_node_where_the_pool_does_not_say(begin: Callable[..., Served]) -> None:
    served = begin()
    with served.autoscaler() as autoscaler:
        assert autoscaler.template("batch") is None
        autoscaler.increase("batch", 1)
        served.until(lambda: states(autoscaler, "batch") == ["running"])
        autoscaler.refresh()
        served.until(lambda: served.node("b1").provider_id)
        served.until(lambda: autoscaler.fresh().template("batch"))
        told = quantities(autoscaler.template("batch").status.capacity)
        assert (told["cpu"], told["memory"]) == ("3", "7Gi")


@pytest.mark.parametrize("smallest", [1, 3], ids=["above-min", "below-min"])
def test_what_did_not_come_is_told_and_deleted_and_another_is_taken(
    begin: Callable[..., Served], smallest: int
) -> None:
    served = begin(pools={"web": {**POOLS["web"], "min": smallest}}, standby={"s1": "web", "s2": "web"})
    for host in ("s1", "s2"):
        served.fail(host, f"{host} has a swap file")
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 1)
        served.until(lambda: failed(autoscaler))
        (one,) = failed(autoscaler)
        assert (one.code, one.klass) == ("host-failed", OTHER)
        assert f"{host_of(one)} has a swap file" in one.message
        assert autoscaler.target("web") == 2
        seen = autoscaler.look(served.nodes())
        assert seen.unregistered["web"] == []

        autoscaler.delete_failed(seen)
        assert autoscaler.target("web") == 1
        assert states(autoscaler) == ["running"]
        assert served.group("standby") == {"s1", "s2"}

        (other,) = {"s1", "s2"} - {host_of(one)}
        served.fail(other, "")
        autoscaler.increase("web", 1)
        served.until(lambda: states(autoscaler) == ["running", "running"])
        assert served.group("workers") == {"w1", other}


@pytest.mark.long
def test_of_a_batch_the_good_ones_come(begin: Callable[..., Served]) -> None:
    served = begin(standby={"s1": "web", "s2": "web", "s3": "web"})
    served.fail("s2", "no disk")
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 3)
        served.until(lambda: states(autoscaler) == ["creating", "running", "running", "running"])
        served.until(lambda: failed(autoscaler))
        assert [host_of(one) for one in failed(autoscaler)] == ["s2"]
        assert served.group("workers") == {"w1", "s1", "s3"}


def test_one_more_than_there_are_is_out_of_resources(begin: Callable[..., Served]) -> None:
    served = begin(pools={"web": {**POOLS["web"], "max": 9}}, standby={"s1": "web"})
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 2)
        assert autoscaler.target("web") == 3
        served.until(lambda: states(autoscaler) == ["creating", "running", "running"])
        (one,) = failed(autoscaler)
        assert (one.code, one.klass) == ("out-of-standby", OUT_OF_RESOURCES)
        assert code_of(autoscaler.increase, "web", 1) is Code.RESOURCE_EXHAUSTED
        found = autoscaler.group_of(one.fake(CREATE_ERROR))
        assert found
        assert found.id == "web"
        autoscaler.delete_failed(autoscaler.look(served.nodes()))
        assert autoscaler.target("web") == 2
        assert code_of(autoscaler.increase, "web", 1) is Code.RESOURCE_EXHAUSTED
    assert served.given() == ["s1"]


@pytest.mark.usefixtures("operators_state")
def test_what_has_not_begun_is_taken_back_and_nothing_else(begin: Callable[..., Served]) -> None:
    served = begin()
    with served.autoscaler() as autoscaler, lock.locked("prod", "an operator's change"):
        autoscaler.increase("web", 3)
        assert autoscaler.target("web") == 4
        assert code_of(autoscaler.decrease, "web", -4) is Code.FAILED_PRECONDITION
        assert autoscaler.target("web") == 4
        autoscaler.decrease("web", -2)
        assert autoscaler.target("web") == 2
        (kept,) = [host_of(one) for one in autoscaler.instances("web") if one.state == "creating"]
        assert code_of(autoscaler.decrease, "web", -2) is Code.FAILED_PRECONDITION
    with served.autoscaler() as autoscaler:
        served.until(lambda: states(autoscaler) == ["running", "running"])
    assert served.group("workers") == {"w1", kept}


@pytest.fixture
def operators_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have the state directory of the server under test, as an operator on its machine has."""
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.long
def test_a_batch_that_is_refused_is_told_by_the_kind_of_its_error(begin: Callable[..., Served]) -> None:
    served = begin()
    served.refuse("preflight")
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 1)
        served.until(lambda: failed(autoscaler))
        (one,) = failed(autoscaler)
        assert (one.code, one.klass) == ("preflight", OTHER)
        assert "refused by the test" in one.message


def test_what_an_operator_does_meanwhile_counts_at_once(begin: Callable[..., Served]) -> None:
    served = begin()
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 1)
        served.until(lambda: states(autoscaler) == ["running", "running"])
        (come,) = served.group("workers") - {"w1"}
        served.operator("remove-node", come)
        served.until(lambda: autoscaler.fresh().target("web") == 1)
        served.operator("add-node", "s5")
        served.until(lambda: autoscaler.fresh().target("web") == 2)
        served.until(lambda: served.node("s5").provider_id == "scaler://prod/s5")
        assert states(autoscaler) == ["running", "running"]
