from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app.autoscaler_groups import Groups
from scaler.app.autoscaler_work import Doors, Drain, Worker
from scaler.engine.journal import STATE_VARIABLE
from scaler.engine.ledger import Book
from scaler.engine.lock import locked
from scaler.errors import UnreachableError
from scaler.gateways.clock import SystemClock, wait_until
from scaler.model.node_groups import Named
from tests.fakes.fleet import FakeChildren, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scaler.model.node_groups import World


class Server:
    """One life of the server: its groups out of what is on the disk, and its worker."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.said: list[str] = []
        self.ran: list[tuple[str, int]] = []
        self.down = ""
        self.children = FakeChildren(fleet)
        self.groups = Groups(Book("prod"), SystemClock())
        self.reopened: list[str] = []
        doors = Doors(self.look, self.reopened.extend, self.children, SystemClock())
        self.worker = Worker(
            "inventories/prod",
            "prod",
            self.groups,
            doors,
            Drain("60", delete_emptydir_data=True),
            say=self.said.append,
            ran=lambda verb, code, _: self.ran.append((verb, code)),
            gather=0.2,
        )

    def look(self) -> World:
        if self.down:
            raise UnreachableError(self.down)
        self.fleet.now = datetime.now(UTC)
        return self.fleet.look()

    def starts(self) -> Server:
        self.worker.look()
        self.worker.start()
        return self

    def run_begins(self) -> None:
        assert self.children.begun.acquire(timeout=20)

    def run_ends(self) -> None:
        self.children.go.release()

    def becomes(self, holds: Callable[[], bool]) -> None:
        assert wait_until(SystemClock(), holds, timeout=20, every=0.01), (self.groups.ledger, self.said)

    def is_idle(self) -> bool:
        return self.groups.ledger.batch is None and not [w for w in self.groups.ledger.wishes if not w.error]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Fleet], Server]]:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    servers: list[Server] = []

    def started(fleet: Fleet) -> Server:
        servers.append(Server(fleet))
        return servers[-1]

    yield started
    for server in servers:
        server.worker.stop()
        if any(thread.is_alive() for thread in server.worker._threads):
            assert server.worker.join(20)


def test_what_is_wished_is_done_by_scaler_itself(start: Callable[[Fleet], Server]) -> None:
    server = start(Fleet()).starts()
    server.groups.increase("web", 2)
    server.worker.wake()
    server.run_begins()
    common = ["--cluster", "inventories/prod", "--yes", "--output", "json"]
    assert server.children.started == [["add-node", "web-2", "web-3", "--keep-going", *common]]
    server.run_ends()
    server.becomes(server.is_idle)
    assert server.fleet.working == {"web-1", "web-2", "web-3"}
    server.groups.delete("web", [Named(name="web-2"), Named(name="web-3")])
    server.worker.wake()
    server.run_begins()
    how = ["--ignore-daemonsets", "--to-standby", "--max-unavailable", "2", "--timeout", "60", "--delete-emptydir-data"]
    assert server.children.started[1] == ["remove-node", "web-2", "web-3", *how, *common]
    server.run_ends()
    server.becomes(server.is_idle)
    assert server.fleet.working == {"web-1"}
    assert server.ran == [("add-node", 0), ("remove-node", 0)]


def test_what_is_asked_for_one_after_the_other_is_one_batch(start: Callable[[Fleet], Server]) -> None:
    server = start(Fleet()).starts()
    for group in ("web", "batch"):
        server.groups.increase(group, 1)
        server.worker.wake()
    server.run_begins()
    assert server.children.hosts(0) == ["web-2", "batch-1"]
    server.run_ends()
    server.becomes(server.is_idle)


def test_what_comes_while_a_run_goes_on_is_one_batch_after_it(start: Callable[[Fleet], Server]) -> None:
    server = start(Fleet()).starts()
    server.groups.increase("web", 1)
    server.worker.wake()
    server.run_begins()
    server.groups.increase("web", 1)
    server.groups.increase("batch", 2)
    assert len(server.children.started) == 1
    server.run_ends()
    server.run_begins()
    assert server.children.hosts(1) == ["web-3", "batch-1", "batch-2"]
    server.run_ends()
    server.becomes(server.is_idle)


def test_while_somebody_else_holds_the_lock_nothing_is_begun(start: Callable[[Fleet], Server]) -> None:
    server = start(Fleet())
    with locked("prod", "add-node by hand"):
        server.starts()
        server.groups.increase("web", 1)
        assert server.worker._work_on() > 0
        assert server.children.started == []
        assert server.groups.ledger.batch is None
    server.worker.wake()
    server.run_begins()
    server.run_ends()
    server.becomes(server.is_idle)


def killed(server: Server) -> None:
    """Leave nothing of the server but what is on the disk: its threads never get any further."""
    server.worker._stopping.set()


@pytest.mark.parametrize("came", [[], ["web-2"], ["web-2", "web-3"]])
def test_a_server_that_was_killed_goes_on_and_adds_nothing_twice(
    start: Callable[[Fleet], Server], came: list[str]
) -> None:
    fleet = Fleet()
    first = start(fleet).starts()
    first.groups.increase("web", 2)
    first.worker.wake()
    first.run_begins()
    killed(first)
    for host in came:
        fleet.moved("add-node", host)
    second = start(fleet).starts()
    second.becomes(lambda: second.groups.ledger.batch is None)
    missing = [host for host in ("web-2", "web-3") if host not in came]
    assert [wish.host for wish in second.groups.ledger.wishes] == missing
    with second.groups.both() as (world, ledger):
        assert len(world.cluster.workers) + len(ledger.wishes) == 3
    if missing:
        # It rests for a few seconds, since what was killed with it may still be about to begin.
        second.run_begins()
        assert second.children.hosts(0) == missing
        second.run_ends()
    second.becomes(second.is_idle)
    assert fleet.working == {"web-1", "web-2", "web-3"}
    # Where a real one is killed, nobody takes in the end of its run.
    first.children.stopped.set()
    first.run_ends()


def test_a_run_that_is_still_going_after_a_kill_is_waited_for(start: Callable[[Fleet], Server]) -> None:
    fleet = Fleet()
    first = start(fleet).starts()
    first.groups.increase("web", 1)
    first.worker.wake()
    first.run_begins()
    killed(first)
    second = start(fleet)
    with locked("prod", "add-node web-2"):
        second.starts()
        assert second.worker._work_on() > 0
        assert second.groups.ledger.batch is not None
        fleet.moved("add-node", "web-2")
    second.worker.wake()
    second.becomes(second.is_idle)
    assert second.children.started == []
    first.children.stopped.set()
    first.run_ends()


def test_a_signal_stops_the_run_in_order_and_the_next_start_goes_on(start: Callable[[Fleet], Server]) -> None:
    fleet = Fleet()
    first = start(fleet).starts()
    first.groups.increase("web", 1)
    first.worker.wake()
    first.run_begins()
    first.worker.stop()
    assert first.worker.join(20)
    assert first.ran == [("add-node", 10)]
    assert [wish.host for wish in Book("prod").ledger.wishes] == ["web-2"]
    second = start(fleet).starts()
    second.run_begins()
    second.run_ends()
    second.becomes(second.is_idle)
    assert fleet.working == {"web-1", "web-2"}


def test_an_api_that_is_away_lets_the_run_be_taken_in_later(
    start: Callable[[Fleet], Server],
) -> None:
    server = start(Fleet()).starts()
    server.groups.increase("web", 1)
    server.worker.wake()
    server.run_begins()
    server.down = "the API server does not answer"
    server.run_ends()
    server.becomes(lambda: any("does not answer" in line for line in server.said))
    assert server.groups.ledger.batch is not None
    server.down = ""
    server.becomes(server.is_idle)
    assert server.fleet.working == {"web-1", "web-2"}


def test_a_host_that_failed_is_told_in_the_words_of_the_run(start: Callable[[Fleet], Server]) -> None:
    fleet = Fleet()
    fleet.broken["web-2"] = "preflight: disk: 1 GB free"
    server = start(fleet).starts()
    server.groups.increase("web", 1)
    server.worker.wake()
    server.run_begins()
    server.run_ends()
    server.becomes(server.is_idle)
    assert [wish.error for wish in server.groups.ledger.wishes] == ["preflight: disk: 1 GB free"]


def test_a_machine_that_could_not_leave_is_open_again(start: Callable[[Fleet], Server]) -> None:
    fleet = Fleet(working=("web-1", "web-2", "web-3"))
    fleet.broken["web-2"] = "a pod does not end"
    server = start(fleet).starts()
    server.groups.delete("web", [Named(name="web-2"), Named(name="web-3")])
    server.worker.wake()
    server.run_begins()
    server.run_ends()
    server.becomes(server.is_idle)
    assert (server.reopened, fleet.working) == (["web-2"], {"web-1", "web-2"})


def test_a_thread_that_ends_is_noticed(start: Callable[[Fleet], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", heard.append)
    server = start(Fleet())
    server.worker.look()

    def defect() -> World:
        raise RuntimeError("a defect")

    server.worker._doors = server.worker._doors._replace(look=defect)
    server.worker.start()
    server.becomes(lambda: not server.worker.alive)
    assert heard
