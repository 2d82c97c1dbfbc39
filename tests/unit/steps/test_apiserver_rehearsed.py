from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import StepError, UnreachableError
from scaler.steps import control_plane_started, learner_added, learner_started, member_promoted
from scaler.steps.apiserver_rehearsed import STEP
from tests.fakes.control_plane import APISERVER, CONTROLLERS, ETCD, FakeControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

M1, M2 = FakeControlPlane.host("m1"), FakeControlPlane.host("m2")
STARTED = control_plane_started.STEP


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m2")


@pytest.fixture
def voting(there: FakeControlPlane) -> FakeControlPlane:
    """Return a cluster whose m2 votes and has its API server, as it was rehearsed."""
    for step in (STEP, learner_added.STEP, learner_started.STEP, member_promoted.STEP):
        assert step.apply(there.world, [M2]) == {}
    there.events.clear()
    return there


def config_maps(there: FakeControlPlane) -> set[str]:
    return set(there.fakes.kube.of("ConfigMap"))


def test_it_runs_against_the_members_that_vote_and_alone(there: FakeControlPlane) -> None:
    assert STEP.apply(there.world, [M2]) == {}
    assert there.lists()["m2"] == ["10.0.0.1"]
    assert there.machines["m2"].units == {APISERVER}
    assert [balancer.servers for balancer in there.balancers.values()] == [{"m1": "10.0.0.1"}] * 2


def test_what_it_wrote_was_read_elsewhere_and_is_gone(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    (made,) = [told["metadata"]["name"] for told in there.fakes.kube.ever if told["kind"] == "ConfigMap"]
    assert made == f"scaler-write-{there.world.run}-m2"
    assert config_maps(there) == set()


def test_one_that_does_not_get_ready_is_told_with_its_log(there: FakeControlPlane) -> None:
    there.sick.add(("m2", APISERVER))
    there.fakes.ssh.machines["m2"].log = "I0301 FLAG: --v=2\nE0301 cannot decrypt"
    with pytest.raises(StepError) as caught:
        STEP.apply(there.world, [M2])
    assert "m2: its API server is not ready after 60 s" in caught.value.message
    assert caught.value.message.endswith("last lines of kube-apiserver.service on m2:\nE0301 cannot decrypt")


def test_flags_that_no_living_master_has_are_refused_with_both_values(there: FakeControlPlane) -> None:
    there.other_flags["m1"] = {"service-cluster-ip-range": "10.97.0.0/16", "feature-gates": "X=true"}
    with pytest.raises(StepError) as caught:
        STEP.apply(there.world, [M2])
    assert "m2 would not run as m1 does" in caught.value.message
    assert "--service-cluster-ip-range: 10.96.0.0/16 here, 10.97.0.0/16 there" in caught.value.message
    assert "--feature-gates: not set here, X=true there" in caught.value.message


def test_another_encryption_key_is_refused(there: FakeControlPlane) -> None:
    there.machines["m1"].files["/etc/kubernetes/encryption.yaml"] = "another"
    with pytest.raises(StepError, match="--encryption-provider-config: another file"):
        STEP.apply(there.world, [M2])


def test_a_certificate_that_lacks_a_name_is_told_by_that_name(there: FakeControlPlane) -> None:
    there.world.cluster = there.world.cluster.model_copy(update={"loadbalancers": ()})
    STEP.apply(there.world, [M2])
    full = FakeControlPlane.host("lb1")
    there.world.cluster = there.world.cluster.model_copy(update={"loadbalancers": (full,)})
    with pytest.raises(StepError, match="m2: its API server does not answer as lb1: Hostname mismatch"):
        STEP.apply(there.world, [M2])


@pytest.mark.parametrize("name", ["m1", "lb1", "lb2"])
def test_whoever_will_need_it_and_does_not_reach_it_is_named(there: FakeControlPlane, name: str) -> None:
    there.blocked.add((name, "m2", 6443))
    with pytest.raises(StepError, match=f"{name} does not reach the API server of m2: timed out") as caught:
        STEP.apply(there.world, [M2])
    assert "10.0.0.2:6443" in caught.value.hint


def test_a_write_that_is_refused_is_told(there: FakeControlPlane) -> None:
    there.fakes.kube.refuse = lambda argv: "etcdserver: no space" if list(argv[:2]) == ["create", "ConfigMap"] else None
    with pytest.raises(StepError, match=r"m2: its API server does not read and write: .*no space"):
        STEP.apply(there.world, [M2])


def test_a_write_that_is_not_there_elsewhere_is_another_etcd(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(there.fakes.kube, "create", lambda *_, **__: None)
    with pytest.raises(StepError, match="what was written through m2 is not there elsewhere"):
        STEP.apply(there.world, [M2])


def test_undo_stops_it_and_nothing_else(there: FakeControlPlane) -> None:
    STEP.apply(there.world, [M2])
    STEP.undo(there.world, M2)
    assert there.machines["m2"].units == set()
    assert there.machines["m1"].units >= {APISERVER, ETCD}


def test_undo_on_a_host_that_died_says_so(there: FakeControlPlane) -> None:
    there.fakes.ssh.machines["m2"].unreachable = True
    with pytest.raises(UnreachableError):
        STEP.undo(there.world, M2)


def test_the_control_plane_starts_with_the_members_its_own_first(voting: FakeControlPlane) -> None:
    assert STARTED.apply(voting.world, [M2]) == {}
    assert voting.machines["m2"].lists == ("https://10.0.0.2:2379", "https://10.0.0.1:2379")
    assert voting.machines["m2"].units == {ETCD, APISERVER, *CONTROLLERS}
    assert [master.name for master in voting.world.masters] == ["m1", "m2"]
    assert voting.outages == []


def test_a_control_plane_that_runs_as_it_should_is_not_restarted(voting: FakeControlPlane) -> None:
    STARTED.apply(voting.world, [M2])
    voting.events.clear()
    STARTED.apply(voting.world, [M2])
    assert [event for event in voting.events if event.startswith("start")] == []
    assert [master.name for master in voting.world.masters] == ["m1", "m2"]


def test_a_server_that_balancers_send_to_leaves_them_before_it_restarts(voting: FakeControlPlane) -> None:
    for balancer in voting.balancers.values():
        balancer.servers = {"m1": "10.0.0.1", "m2": "10.0.0.2"}
    STARTED.apply(voting.world, [M2])
    assert voting.events == ["drain lb1 m2", "drain lb2 m2", "start m2 2", "ready lb1 m2", "ready lb2 m2"]
    assert voting.outages == []


@pytest.mark.parametrize("unit", CONTROLLERS)
def test_a_controller_that_is_not_healthy_is_told_with_its_log(voting: FakeControlPlane, unit: str) -> None:
    voting.sick.add(("m2", unit))
    with pytest.raises(StepError) as caught:
        STARTED.apply(voting.world, [M2])
    assert f"m2: {unit} is not healthy: HTTP 500" in caught.value.message
    assert f"last lines of {unit} on m2" in caught.value.message
    assert [master.name for master in voting.world.masters] == ["m1"]


def test_a_server_that_is_not_ready_stays_out_of_the_balancers(voting: FakeControlPlane) -> None:
    for balancer in voting.balancers.values():
        balancer.servers = {"m1": "10.0.0.1", "m2": "10.0.0.2"}
    voting.sick.add(("m2", APISERVER))
    with pytest.raises(StepError, match="m2: its API server is not ready"):
        STARTED.apply(voting.world, [M2])
    assert [balancer.drained for balancer in voting.balancers.values()] == [{"m2"}, {"m2"}]


@pytest.mark.parametrize("step", [STEP, STARTED])
def test_a_playbook_that_fails_is_told_by_its_host(there: FakeControlPlane, step: object) -> None:
    there.fakes.playbooks.fails["master_install.yml", "m2"] = "place the files: No space left on device"
    apply: Callable[..., object] = step.apply  # type: ignore[attr-defined]
    with pytest.raises(StepError, match="m2: place the files: No space left on device"):
        apply(there.world, [M2])
