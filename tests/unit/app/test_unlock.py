from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from scaler.app import unlock
from scaler.engine.journal import Journal
from scaler.engine.lease import Lease
from scaler.errors import LockedError
from scaler.gateways import lease
from scaler.model.holder import Holder
from tests.fakes import world
from tests.fakes.clock import BEGIN
from tests.fakes.session import session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.engine.events import Event
    from scaler.gateways.lease import Held
    from tests.fakes.session import FakeSession

SECONDS = 60
ALIVE = 1
DEAD = 2**22 + 1  # above the greatest number that a process can have


@pytest.fixture(autouse=True)
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    return session(tmp_path, world.hosts("n1"), standby=world.hosts("n1"), workers=(world.host("w1", 2),))


def other(live: FakeSession, host: str = "ctl2", pid: int = DEAD, run: str = "run-2") -> Lease:
    """Let another controller hold the cluster."""
    holder = Holder(user="ops", host=host, pid=pid, since=BEGIN, doing="remove-node n9", run=run)
    made = Lease(live.fakes.kube, live.fakes.clock, "prod", holder, SECONDS)
    made.take(lambda _: False)
    return made


def found(live: FakeSession) -> Held:
    seen = unlock.look(live).lease
    assert seen is not None
    return seen


def test_a_lease_that_has_not_run_out_is_left_and_its_seconds_are_told(live: FakeSession) -> None:
    other(live)
    live.fakes.clock.sleep(SECONDS - 20)
    with pytest.raises(LockedError) as refused:
        unlock.remove(live, found(live), lambda _: None)
    assert "its lease runs out in 20 s" in refused.value.message
    assert "try again in 20 s" in refused.value.hint
    assert unlock.look(live).lease


def test_one_that_has_run_out_is_watched_for_its_whole_time_and_taken_out(live: FakeSession) -> None:
    other(live)
    live.fakes.clock.sleep(SECONDS + 1)
    before = live.fakes.clock.monotonic()
    unlock.remove(live, found(live), lambda _: None)
    assert live.fakes.clock.monotonic() - before >= SECONDS
    assert unlock.look(live).lease is None


def test_one_that_is_renewed_while_it_is_watched_lives_whatever_the_clocks_say(live: FakeSession) -> None:
    alive = other(live)
    seen = found(live)
    live.fakes.clock.jump(10 * 3600)  # this machine is ahead
    asked: list[Sequence[str]] = []

    def renew(argv: Sequence[str]) -> None:
        asked.append(argv)
        if len(asked) == 10:
            alive.renew()

    live.fakes.kube.refuse = renew
    with pytest.raises(LockedError, match="lives: ops on ctl2"):
        unlock.remove(live, seen, lambda _: None)
    assert unlock.look(live).lease


def test_one_whose_holder_is_hours_ahead_is_watched_and_not_believed(live: FakeSession) -> None:
    other(live)
    live.fakes.clock.jump(-10 * 3600)
    unlock.remove(live, found(live), lambda _: None)
    assert unlock.look(live).lease is None


def test_one_that_is_given_back_while_it_is_watched_needs_nothing(live: FakeSession) -> None:
    alive = other(live)
    live.fakes.clock.sleep(SECONDS + 1)
    seen = found(live)
    alive.release()
    unlock.remove(live, seen, lambda _: None)
    assert unlock.look(live).lease is None


class Ears:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def hear(self, event: Event) -> None:
        self.kinds.append(event.kind)


def test_a_run_on_a_cluster_that_another_controller_changes_begins_nothing(live: FakeSession) -> None:
    other(live)
    ears = Ears()
    with pytest.raises(LockedError, match="remove-node n9"):
        live.run(live.fakes.world.plan, [ears])
    assert ears.kinds == []
    runs = live.fakes.world.snapshots.parent / "state" / "prod" / "runs"
    assert list(runs.glob("*")) == []
    assert found(live).holder.host == "ctl2"


def test_a_run_holds_the_cluster_and_gives_it_back(live: FakeSession) -> None:
    seen: list[str] = []
    live.fakes.kube.on_lease.append(lambda told: seen.append(told["spec"].get("holderIdentity", "")))
    live.run(live.fakes.world.plan, [])
    assert seen[0].partition("@")[2].startswith(f"{socket.gethostname()}/{os.getpid()}/2")
    assert seen[-1] == ""
    assert lease.look(live.fakes.kube) is None


@pytest.mark.parametrize(
    ("host", "pid", "run", "follows"),
    [
        ("here", DEAD, "run-2", True),
        ("here", ALIVE, "run-2", False),
        ("ctl2", DEAD, "run-2", False),
        ("here", DEAD, "run-3", False),
    ],
)
def test_only_a_run_of_this_machine_and_state_directory_whose_process_is_gone_is_followed(
    live: FakeSession, host: str, pid: int, run: str, *, follows: bool
) -> None:
    journal = Journal("prod", "run-2")
    other(live, socket.gethostname() if host == "here" else host, pid, run)
    if follows:
        live.run(live.fakes.world.plan, [])
        assert unlock.look(live).lease is None
    else:
        with pytest.raises(LockedError):
            live.run(live.fakes.world.plan, [])
    journal.close()
