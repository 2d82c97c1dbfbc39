from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import autoscaler_look
from scaler.app.autoscaler_look import Lookout
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.model.inventory import Cluster


class Api:
    """Nodes as an API server gives them, that take an ID once."""

    def __init__(self, nodes: dict[str, str]) -> None:
        self.nodes = nodes
        self.patched: list[str] = []
        self.tainted: list[str] = []
        self.taken_off: list[str] = []

    def get(self, kind: str, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        assert kind == "nodes"
        wanted = {name: told for name, told in self.nodes.items() if not names or name in names}
        taint = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1772366400", "effect": "NoSchedule"}
        return [
            {
                "metadata": {"name": name},
                "spec": {"providerID": told, "taints": [taint] if name in self.tainted else []},
            }
            for name, told in wanted.items()
        ]

    def call(self, argv: Sequence[str]) -> str:
        if argv[0] == "taint":
            self.tainted.remove(argv[2])
            self.taken_off.append(argv[3])
            return ""
        assert argv[:2] == ["patch", "node"]
        assert self.nodes[argv[2]] == ""
        self.nodes[argv[2]] = json.loads(argv[-1])["spec"]["providerID"]
        self.patched.append(argv[2])
        return ""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("{}\n")
    return tmp_path


@pytest.fixture
def reads() -> list[str]:
    return []


@pytest.fixture
def api() -> Api:
    return Api({"web-1": "", "web-2": "scaler://prod/web-2", "m1": ""})


@pytest.fixture
def lookout(inventory: Path, api: Api, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> Lookout:
    cluster = Fleet().look().cluster.model_copy(update={"directory": inventory})

    def read(name: str) -> Cluster:
        reads.append(name)
        return cluster

    monkeypatch.setattr(autoscaler_look, "read_cluster", read)
    monkeypatch.setattr(autoscaler_look, "kubectl_of", lambda _: inventory / "kubectl")
    monkeypatch.setattr(autoscaler_look, "Kubectl", lambda *_: api)
    return Lookout("prod", cluster, FakeClock())


def test_the_inventory_is_read_when_it_has_changed_and_nodes_each_time(
    lookout: Lookout, inventory: Path, api: Api, reads: list[str]
) -> None:
    node = lookout.look().node("web-1")
    assert node
    assert node.spec.provider_id == "scaler://prod/web-1"
    lookout.look()
    assert (reads, api.patched) == (["prod"], ["web-1"])
    (inventory / "group_vars" / "all.yml").write_text("pools: {}\n")
    lookout.look()
    assert reads == ["prod", "prod"]


def test_a_node_that_stays_loses_the_autoscalers_mark_and_others_keep_it(lookout: Lookout, api: Api) -> None:
    api.tainted = ["web-1", "web-2"]
    lookout.look()
    lookout.reopen(["web-2"])
    lookout.reopen([])
    assert (api.tainted, api.taken_off) == (["web-1"], ["ToBeDeletedByClusterAutoscaler-"])
