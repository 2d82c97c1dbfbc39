"""The steps of a network that has an API of its own, and the recipes that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.drivers import cni
from scaler.drivers.cni import Doors, Lacking
from scaler.errors import UnreachableError
from scaler.plan.plan import Living
from scaler.plan.recipes import add_master, add_node, init, remove_master, remove_node
from scaler.steps import network_joined, network_left
from tests.fakes.world import Fakes, hosts
from tests.unit.examples import M1, N1, cluster, node, state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host


class Own(cni.Plain):
    """A network that takes a node in after some looks, and keeps something of those that are gone."""

    def __init__(self) -> None:
        self.looks: list[dict[str, Lacking]] = []
        self.joined: list[str] = []
        self.refused: dict[str, str] = {}
        self.kept: dict[str, str] = {}

    def join(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        del doors
        self.joined += [host.name for host in hosts]
        return self.refused

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        del doors, hosts
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def unjoin(self, doors: Doors, host: Host) -> None:
        del doors
        self.joined.remove(host.name)

    def leave(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        del doors, hosts
        return self.kept


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Own:
    driver = Own()
    monkeypatch.setattr(cni, "of", lambda _: driver)
    return driver


def test_a_node_is_waited_for_until_nothing_is_lacking(tmp_path: Path, own: Own) -> None:
    fakes = Fakes(tmp_path, hosts("n1", "n2"))
    own.looks = [{"n1": Lacking("it is late")}, {"n1": Lacking("it is late")}, {}]
    assert network_joined.STEP.apply(fakes.world, fakes.hosts) == {}
    assert own.joined == ["n1", "n2"]


def test_a_node_that_never_comes_fails_alone_with_its_reason(tmp_path: Path, own: Own) -> None:
    fakes = Fakes(tmp_path, hosts("n1", "n2"))
    own.looks = [{"n1": Lacking("no pod runs there")}]
    assert network_joined.STEP.apply(fakes.world, fakes.hosts) == {"n1": "not after 60 s: no pod runs there"}


def test_what_only_another_node_lacks_is_told_and_holds_nobody_up(tmp_path: Path, own: Own) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    own.looks = [{"n1": Lacking("no route to w1", fatal=False)}]
    begun = fakes.clock.monotonic()
    assert network_joined.STEP.apply(fakes.world, fakes.hosts) == {}
    assert 20 <= fakes.clock.monotonic() - begun < 25
    assert fakes.said[-1] == "n1: no route to w1"


def test_a_node_that_cannot_be_made_known_is_not_waited_for(tmp_path: Path, own: Own) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    own.refused, own.looks = {"n1": "no such kind"}, [{}]
    assert network_joined.STEP.apply(fakes.world, fakes.hosts) == {"n1": "no such kind"}


def test_an_api_that_does_not_answer_for_a_moment_takes_nobody_back(
    tmp_path: Path, own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    own.looks = [{}]
    for name in ("join", "lacking"):
        verb, silent = getattr(own, name), [UnreachableError("the API does not answer")] * 3

        def asked(doors: Doors, hosts: Sequence[Host], verb: Any = verb, silent: list[Any] = silent) -> Any:
            if silent:
                raise silent.pop()
            return verb(doors, hosts)

        monkeypatch.setattr(own, name, asked)
    assert network_joined.STEP.apply(fakes.world, fakes.hosts) == {}
    assert own.joined == ["n1"]


def test_an_api_that_does_not_answer_at_all_is_told(tmp_path: Path, own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))

    def silent(doors: Doors, hosts: Sequence[Host]) -> Any:
        del doors, hosts
        raise UnreachableError("the API does not answer")

    monkeypatch.setattr(own, "lacking", silent)
    assert network_joined.STEP.apply(fakes.world, fakes.hosts) == {"n1": "not after 60 s: the API does not answer"}


def test_what_was_made_is_taken_back(tmp_path: Path, own: Own) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    own.looks = [{}]
    network_joined.STEP.apply(fakes.world, fakes.hosts)
    network_joined.STEP.undo(fakes.world, fakes.hosts[0])
    assert own.joined == []


def test_what_stays_of_a_node_that_left_is_told_at_the_end(tmp_path: Path, own: Own) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    fakes.world.later["n1"] = "it is dead"
    own.kept = {"n1": "a block stays"}
    assert network_left.STEP.apply(fakes.world, fakes.hosts) == {}
    assert fakes.world.later["n1"] == "it is dead; a block stays"


WORKING = Living(works=True, follows={"kube_proxy_mode": "ipvs"})


def test_the_network_comes_before_the_proof_and_only_where_it_has_work() -> None:
    plan = add_node.plan(cluster(), state(node("m1", "192.0.2.11")), [N1], living=WORKING)
    names = [spec.step for spec in plan.steps]
    assert names[names.index("network_joined") - 1 :][:3] == ["kubelet_joined", "network_joined", "join_verified"]
    assert plan.follows == {"kube_proxy_mode": "ipvs"}
    assert "network_joined" not in [s.step for s in add_node.plan(cluster(), state(), [N1]).steps]
    there = [s.step for s in init.plan(cluster(), network=True).steps]
    assert there.index("network_joined") < there.index("join_verified")


def test_a_masters_node_joins_the_network_too() -> None:
    stands = {"n1": add_master.Standing.NEW}
    more = {"voters": ["m1", "m2", "m3"], "allow_even": True}
    plan = add_master.plan(cluster(), state(), [N1], stands, living=WORKING, **more)  # type: ignore[arg-type]
    assert "network_joined" in [spec.step for spec in plan.steps]
    assert plan.follows == {"kube_proxy_mode": "ipvs"}


def test_the_network_forgets_a_node_once_nothing_of_it_runs() -> None:
    assert remove_node.with_network(remove_node.EACH, network=True)[-3:] == (
        "hosts_wiped",
        "network_left",
        "inventory_pruned",
    )
    assert remove_node.with_network(remove_node.EACH, network=False) == remove_node.EACH
    for dead in (True, False):
        going = remove_master.Going((M1,), frozenset({"m1"}), 3, dead=dead, network=True)
        names = [spec.step for spec in remove_master.steps(cluster(), going)]
        assert names[names.index("hosts_wiped") + 1] == "network_left"
