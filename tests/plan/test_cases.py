"""Each file in ``cases`` is a fact about a recipe: what is there, what is asked for, and the plan or the refusal.

``state`` lists the API's nodes, ``workers`` the inventory's where they are others than w1, ``settings`` what differs
from the tests' example; ``request`` names the hosts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scaler.errors import PreflightError
from scaler.plan.recipes import add_node
from tests.unit.examples import M1, N1, N2, W1, cluster, node, settings, state

CASES = sorted((Path(__file__).parent / "cases" / "add_node").glob("*.yml"))
HOSTS = {host.name: host for host in (M1, W1, N1, N2)}
KEYS = {"settings", "workers", "state", "request", "steps", "present", "refusal"}


def _node(case: dict[str, Any]) -> Any:
    marks = {add_node.RUN_ANNOTATION: "earlier"} if case.get("joining") else {}
    more = {key: case[key] for key in ("cidr", "ready") if key in case}
    return node(case["name"], case["address"], annotations=marks, **more)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_add_node(path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(case) <= KEYS
    workers = tuple(HOSTS[name] for name in case.get("workers", ["w1"]))
    standby = tuple(host for host in (N1, N2) if host not in workers)
    known = cluster(settings=settings(**case.get("settings", {})), workers=workers, standby=standby)
    there = state(*map(_node, case["state"]))
    asked = [HOSTS[name] for name in case["request"]]
    if "refusal" in case:
        with pytest.raises(PreflightError) as caught:
            add_node.plan(known, there, asked)
        assert case["refusal"] in caught.value.message
        return
    plan = add_node.plan(known, there, asked)
    assert [{spec.step: list(spec.hosts)} for spec in plan.steps] == case["steps"]
    assert list(plan.present) == case.get("present", [])


def test_there_are_cases() -> None:
    assert CASES
