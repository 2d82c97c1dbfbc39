"""Each file in ``cases`` is a fact about a recipe: what is there, what is asked for, and the plan or the refusal.

``state`` lists the API's nodes, ``workers`` the inventory's where they are others than w1, ``settings`` what differs
from the tests' example; ``request`` names the hosts. Of a control plane ``masters`` and ``etcd`` are the inventory's
(etcd where it has hosts of its own), ``voters`` and ``backends`` what etcd and the load balancers say where that is
something else; ``told`` is in the warnings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from scaler.errors import ScalerError
from scaler.plan.recipes import add_etcd, add_master, add_node
from tests.unit.examples import M1, N1, N2, W1, cluster, host, node, settings, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import ClusterState
    from scaler.plan.plan import Plan

CASES = Path(__file__).parent / "cases"
MASTERS = [host(f"m{number}", 10 + number) for number in (2, 3, 4, 5)]
MEMBERS = [host(f"e{number}", 40 + number) for number in (1, 2, 3, 4)]
HOSTS = {host.name: host for host in (M1, W1, N1, N2, *MASTERS, *MEMBERS)}
KEYS = {"settings", "workers", "state", "request", "steps", "present", "refusal"}
CONTROL_PLANE = KEYS | {"masters", "etcd", "voters", "backends", "allow_even", "told"}


def _cases(recipe: str) -> list[Path]:
    return sorted((CASES / recipe).glob("*.yml"))


def _named(names: list[str]) -> tuple[Host, ...]:
    return tuple(HOSTS[name] for name in names)


def _node(case: dict[str, Any]) -> Any:
    marks = {add_node.RUN_ANNOTATION: "earlier"} if case.get("joining") else {}
    more = {key: case[key] for key in ("cidr", "ready") if key in case}
    return node(case["name"], case["address"], annotations=marks, **more)


def _read(path: Path, keys: set[str]) -> tuple[dict[str, Any], Cluster, ClusterState]:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(case) <= keys
    workers = _named(case.get("workers", ["w1"]))
    masters = _named(case.get("masters", ["m1"]))
    groups: dict[str, Any] = {
        "masters": masters,
        "etcd": _named(case.get("etcd", [])) or masters,
        "workers": workers,
        "standby": tuple(each for each in (N1, N2) if each not in workers),
    }
    known = cluster(settings=settings(**case.get("settings", {})), **groups)
    return case, known, state(*map(_node, case.get("state", [])))


def _holds(case: dict[str, Any], planned: Callable[[list[Host]], Plan]) -> None:
    asked = list(_named(case["request"]))
    if "refusal" in case:
        with pytest.raises(ScalerError) as caught:
            planned(asked)
        assert case["refusal"] in caught.value.message
        return
    plan = planned(asked)
    assert [{spec.step: list(spec.hosts)} for spec in plan.steps] == case["steps"]
    assert list(plan.present) == case.get("present", [])
    for told in case.get("told", []):
        assert told in "\n".join(plan.warnings)
    assert bool(plan.warnings) is bool(case.get("told"))


@pytest.mark.parametrize("path", _cases("add_node"), ids=lambda path: path.stem)
def test_add_node(path: Path) -> None:
    case, known, there = _read(path, KEYS)
    _holds(case, lambda asked: add_node.plan(known, there, asked))


@pytest.mark.parametrize("path", _cases("add_master"), ids=lambda path: path.stem)
def test_add_master(path: Path) -> None:
    case, known, there = _read(path, CONTROL_PLANE)
    voters = case.get("voters", [each.name for each in known.etcd])
    backends = case.get("backends", [each.name for each in known.masters])

    def planned(asked: list[Host]) -> Plan:
        stands = {each.name: add_master.standing(each, known, voters, backends) for each in asked}
        return add_master.plan(known, there, asked, stands, voters=voters, allow_even=case.get("allow_even", False))

    _holds(case, planned)


@pytest.mark.parametrize("path", _cases("add_etcd"), ids=lambda path: path.stem)
def test_add_etcd(path: Path) -> None:
    case, known, _ = _read(path, CONTROL_PLANE)
    voters = case.get("voters", [each.name for each in known.etcd])
    _holds(case, lambda asked: add_etcd.plan(known, asked, voters=voters, allow_even=case.get("allow_even", False)))


@pytest.mark.parametrize("recipe", ["add_node", "add_master", "add_etcd"])
def test_there_are_cases(recipe: str) -> None:
    assert _cases(recipe)
