"""Many hosts in one command: what is wrong with some of them is their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.app.add_node import Prepared, prepare
from scaler.errors import PartialError, PreflightError
from scaler.gateways.playbooks import NO_RESULT, UNREACHABLE
from scaler.steps.kubelet_joined import JOIN_SECONDS
from scaler.ui import outcome as ending
from tests.fakes import world
from tests.fakes.session import FakeSession, session

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.engine.run import Outcome

FIFTY = world.hosts(*(f"n{number}" for number in range(1, 51)))
AWAY = {"n3", "n7", "n12"}


def clustered(directory: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> FakeSession:
    monkeypatch.setenv("SCALER_STATE_DIR", str(directory / "state"))
    made = session(directory, FIFTY[:count], standby=FIFTY[:count], workers=(world.host("w1", 2),))
    made.fakes.kube.cidrs = [f"10.244.{number}.0/24" for number in range(1, 99)]
    return made


@pytest.fixture
def fifty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    return clustered(tmp_path, monkeypatch, 50)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    """A dozen, which shows the same in less time."""
    return clustered(tmp_path, monkeypatch, 12)


def prepared(live: FakeSession, *, keep_going: bool = True) -> Prepared:
    return prepare(live, live.cluster.standby, keep_going=keep_going, progress=lambda _: None)


def ran(live: FakeSession) -> Outcome:
    return live.run(prepared(live).plan, [])


def opened(live: FakeSession) -> set[str]:
    return {name for name, node in live.fakes.kube.of("Node").items() if not node["spec"].get("unschedulable")}


def others(live: FakeSession, *out: str) -> set[str]:
    return {host.name for host in live.cluster.standby} - set(out)


def test_three_that_are_not_reached_refuse_all_with_their_names_and_the_others(fifty: FakeSession) -> None:
    for name in AWAY:
        fifty.fakes.ssh.machines[name].unreachable = True
    with pytest.raises(PreflightError) as refused:
        prepared(fifty, keep_going=False)
    assert {line.partition(":")[0] for line in refused.value.message.splitlines()} == AWAY
    assert "--keep-going would add the others: n1, n2, n4" in refused.value.hint
    assert opened(fifty) == {"m1", "w1"}


def test_with_keep_going_three_that_are_not_reached_leave_forty_seven(fifty: FakeSession) -> None:
    for name in AWAY:
        fifty.fakes.ssh.machines[name].unreachable = True
    wanted = prepared(fifty)
    assert set(wanted.refused) == AWAY
    run = fifty.run(wanted.plan, [])
    assert opened(fifty) == {"m1", "w1", *others(fifty, *AWAY)}
    error = ending.error(run, wanted.refused)
    assert isinstance(error, PartialError)
    assert error.exit_code == 2
    assert error.message.startswith("47 of 50 hosts made it\n")
    for name in AWAY:
        assert f"{name}: " in error.message
        assert name in error.hint
    assert "run the same command again" in error.hint


def test_three_that_die_on_the_way_leave_the_others(live: FakeSession) -> None:
    def dies(playbook: str, name: str) -> str:
        if playbook != "worker_install.yml" or name not in AWAY:
            return ""
        live.fakes.ssh.machines[name].unreachable = True
        return f"{UNREACHABLE}: place the files: Failed to connect"

    live.fakes.playbooks.fail = dies
    run = ran(live)
    assert set(run.failed) == AWAY
    assert set(run.made) == others(live, *AWAY)
    assert opened(live) >= others(live, *AWAY)
    assert not opened(live) & AWAY


def test_a_host_that_is_slow_to_get_ready_is_reported_and_the_others_are_in(live: FakeSession) -> None:
    live.kubelets.ready = lambda name, _: name != "n9"
    run = ran(live)
    assert set(run.made) == others(live, "n9")
    assert set(run.failed) == {"n9"}
    assert run.failed["n9"].startswith(f"not Ready after {JOIN_SECONDS:g} s")
    assert opened(live) == {"m1", "w1", *others(live, "n9")}
    assert run.seconds["kubelet_joined"] < JOIN_SECONDS + 5


def test_a_host_that_is_slow_and_gets_ready_in_time_is_in_like_the_others(live: FakeSession) -> None:
    live.kubelets.ready = lambda name, seconds: name != "n9" or seconds > 60
    run = ran(live)
    assert (len(run.made), run.failed) == (12, {})


def test_results_that_were_lost_for_some_are_read_from_those_hosts(live: FakeSession) -> None:
    tries: list[str] = []

    def lost(playbook: str, name: str) -> str:
        if playbook != "worker_install.yml":
            return ""
        tries.append(name)
        return NO_RESULT if name in AWAY and tries.count(name) == 1 else ""

    live.fakes.playbooks.fail = lost
    run = ran(live)
    assert (len(run.made), run.failed) == (12, {})
    assert {name for name in tries if tries.count(name) == 2} == AWAY
