from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.gateways.kube import KubeError
from scaler.plan.recipes.add_node import RUN_ANNOTATION
from scaler.steps.nodes_opened import STEP
from tests.fakes.world import RUN, Fakes, hosts

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nodes_take_pods_and_are_nobodys_run_any_more(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, hosts("n1", "n2"))
    for name in ("n1", "n2", "n3"):
        fakes.kube.add_node(name, unschedulable=True, annotations={RUN_ANNOTATION: RUN, "own": "kept"})
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    nodes = fakes.kube.of("Node")
    assert [nodes[name]["spec"]["unschedulable"] for name in ("n1", "n2", "n3")] == [False, False, True]
    assert nodes["n1"]["metadata"]["annotations"] == {"own": "kept"}
    assert nodes["n3"]["metadata"]["annotations"] == {RUN_ANNOTATION: RUN, "own": "kept"}


def test_a_node_that_somebody_deleted_meanwhile_is_an_error(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    with pytest.raises(KubeError, match="not found"):
        STEP.apply(fakes.world, fakes.hosts)


def test_from_here_on_nothing_is_taken_back() -> None:
    assert STEP.commits
