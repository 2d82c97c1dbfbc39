"""A step of add-master that fails: before the promotion all is as it was, after it all is there for the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler import steps
from scaler.app import add_master
from scaler.engine.journal import facts
from scaler.errors import StepError
from scaler.plan.recipes.add_master import END, MEMBER, REHEARSAL, SERVICE
from scaler.plan.recipes.add_node import STEPS
from tests.fakes.control_plane import FakeControlPlane

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.engine.run import Outcome
    from scaler.model.inventory import Host
    from scaler.steps.base import Failures, World

BEFORE = (*REHEARSAL, *MEMBER)
AFTER = (*SERVICE, *(name for name in STEPS if name != "inventory_written"), *END)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeControlPlane:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    return FakeControlPlane(tmp_path, "m2", "m3")


def grown(there: FakeControlPlane) -> Outcome:
    session = there.session()
    return session.run(add_master.prepare(session, there.new, allow_even=False, progress=lambda _: None), [])


def breaks(monkeypatch: pytest.MonkeyPatch, name: str, host: str, *, done: bool) -> None:
    """Let a step fail for a host, before it has done anything or when all of it is done."""
    step: Any = steps.find(name)
    real = step.apply

    def fails(world: World, hosts: Sequence[Host]) -> Failures:
        if hosts[0].name != host:
            return real(world, hosts)  # type: ignore[no-any-return]
        if done:
            real(world, hosts)
        raise StepError(f"{name} broke")

    monkeypatch.setattr(step, "apply", fails)


def cluster(there: FakeControlPlane) -> dict[str, Any]:
    return {
        "voters": there.etcd.voters,
        "learners": there.etcd.learners,
        "lists": there.lists(),
        "balancers": {name: balancer.servers for name, balancer in there.balancers.items()},
        "groups": there.groups(),
        "nodes": set(there.fakes.kube.of("Node")),
        "config maps": set(there.fakes.kube.of("ConfigMap")),
    }


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("name", [name for name in BEFORE if name != "member_promoted"])
def test_before_the_promotion_the_first_host_is_given_back(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch, name: str, *, done: bool
) -> None:
    before = cluster(there)
    breaks(monkeypatch, name, "m2", done=done)
    outcome = grown(there)
    assert outcome.failed == {"m2": f"{name} broke"}
    assert (outcome.made, outcome.left) == ((), {})
    assert cluster(there) == before
    machine = there.machines["m2"]
    assert (machine.files, machine.units, machine.claim) == ({}, set(), {})
    assert there.outages == []
    assert there.etcd.quorate_ever_since


@pytest.mark.parametrize("name", ["master_staged", "learner_started"])
def test_the_second_host_is_given_back_and_the_first_stays(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    breaks(monkeypatch, name, "m3", done=True)
    outcome = grown(there)
    assert outcome.made == ("m2",)
    assert (outcome.failed, outcome.left) == ({"m3": f"{name} broke"}, {})
    assert (there.etcd.voters, there.etcd.learners) == (["m1", "m2"], [])
    assert there.groups()["masters"] == ["m1", "m2"]
    assert there.machines["m3"].files == {}


def test_a_host_that_votes_though_its_promotion_broke_is_left(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, "member_promoted", "m2", done=True)
    outcome = grown(there)
    assert "m2 votes; nothing of etcd is taken back" in outcome.left["m2"]
    assert there.etcd.voters == ["m1", "m2"]
    assert "etcd.service" in there.machines["m2"].units


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("name", AFTER)
def test_after_the_promotion_all_stays_and_the_same_command_finishes_it(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch, name: str, *, done: bool
) -> None:
    with monkeypatch.context() as broken:
        breaks(broken, name, "m2", done=done)
        outcome = grown(there)
    assert outcome.failed == {"m2": f"{name} broke"}
    assert set(outcome.left) == {"m2"}
    assert there.etcd.voters == ["m1", "m2"]
    assert there.machines["m2"].units
    again = grown(there)
    assert (again.failed, again.left) == ({}, {})
    assert there.etcd.voters == ["m1", "m2", "m3"]
    assert there.groups()["masters"] == ["m1", "m2", "m3"]
    assert there.outages == []


def test_a_host_that_dies_as_a_learner_is_out_of_etcd_and_told_as_not_cleaned(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    step: Any = steps.find("learner_caught_up")

    def dies(world: World, hosts: Sequence[Host]) -> Failures:
        del world
        there.fakes.ssh.machines["m2"].unreachable = True
        there.etcd.stop(hosts[0].address)
        raise StepError("its learner makes no progress")

    monkeypatch.setattr(step, "apply", dies)
    outcome = grown(there)
    assert (there.etcd.voters, there.etcd.learners) == (["m1"], [])
    assert set(outcome.left) == {"m2"}
    assert there.etcd.quorate_ever_since


def test_what_a_run_did_to_etcd_is_in_its_journal(there: FakeControlPlane) -> None:
    grown(there)
    told = [next(iter(fact)) for fact in facts("prod")]
    assert told.count("member") == 2
    assert told.count("voter") == 2
    assert told.count("snapshot") == 2
    assert told.index("member") > told.index("intent")
    assert there.session().own_members() == {2, 3}
