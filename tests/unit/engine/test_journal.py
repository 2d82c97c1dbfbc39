from __future__ import annotations

import errno
import json
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scaler import steps
from scaler.engine.events import Event
from scaler.engine.journal import RESERVED_BYTES, Journal, facts
from scaler.engine.run import Engine
from scaler.errors import ScalerError
from scaler.steps.base import Irreversible
from tests.fakes.clock import BEGIN
from tests.fakes.world import RUN, Fakes, hosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class Noting(Irreversible):
    """A step that notes what the journal says while it runs."""

    title = "noting"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.seen: list[list[dict[str, Any]]] = []

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        del plan, settings
        return []

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        del hosts
        world.say("half way")
        self.seen.append(lines(self._journal.path))
        return {}


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8").rstrip("\0")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    made = Journal("prod", RUN)
    yield made
    made.close()


@pytest.fixture
def noting(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Noting:
    step = Noting(journal)
    monkeypatch.setattr(steps, "find", lambda _: step)
    return step


def an_event(message: str = "") -> Event:
    return Event(kind="step-done", at=datetime.now(UTC), run=RUN, step="a", message=message)


def test_an_intent_is_on_the_disk_before_its_step_and_its_end_after_it(
    journal: Journal, noting: Noting, tmp_path: Path
) -> None:
    Engine(Fakes(tmp_path, hosts("n1"), "a", "b").world, [journal]).run()
    kinds = [[(line["kind"], line.get("step")) for line in told] for told in noting.seen]
    first = [("run-started", None), ("step-intent", "a")]
    second = [*first, ("step-done", "a"), ("step-intent", "b")]
    assert kinds == [first, second]
    told = [(line["kind"], line.get("step")) for line in lines(journal.path)]
    assert told == [*second, ("step-done", "b"), ("run-ended", None)]


@pytest.mark.usefixtures("noting")
def test_the_first_line_holds_the_whole_plan(journal: Journal, tmp_path: Path) -> None:
    world = Fakes(tmp_path, hosts("n1"), "a").world
    Engine(world, [journal]).run()
    assert lines(journal.path)[0]["data"] == world.plan.to_json()


@pytest.mark.usefixtures("noting")
def test_progress_is_not_journalled(journal: Journal, tmp_path: Path) -> None:
    Engine(Fakes(tmp_path, hosts("n1"), "a").world, [journal]).run()
    assert "half way" not in journal.path.read_text(encoding="utf-8")


def test_the_journal_is_its_owners_alone(journal: Journal) -> None:
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_run_never_writes_into_another_runs_journal(journal: Journal) -> None:
    with pytest.raises(FileExistsError):
        Journal("prod", journal.path.stem)


def test_a_message_of_many_lines_is_one_line_of_the_journal(journal: Journal) -> None:
    journal.hear(an_event("first\nsecond \u2028 third"))
    assert lines(journal.path)[0]["message"] == "first\nsecond \u2028 third"


def test_a_line_that_the_system_takes_in_pieces_is_whole(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, text: write(descriptor, text[:7]))
    journal.hear(an_event("a longer message"))
    assert lines(journal.path)[0]["message"] == "a longer message"


def test_a_full_disk_stops_the_run_before_its_next_step(journal: Journal, noting: Noting, tmp_path: Path) -> None:
    class Filling:
        """An observer after which the disk is full, from the end of the first step on."""

        def hear(self, event: Event) -> None:
            if event.kind == "step-done":
                full = os.open("/dev/full", os.O_WRONLY)
                os.dup2(full, journal._descriptor)
                os.close(full)

    with pytest.raises(ScalerError, match="cannot be written: No space left on device") as failed:
        Engine(Fakes(tmp_path, hosts("n1"), "a", "b").world, [journal, Filling()]).run()
    assert "make room" in failed.value.hint
    assert len(noting.seen) == 1


def test_a_journal_that_was_closed_takes_no_more(journal: Journal) -> None:
    spare = os.dup(journal._descriptor)
    journal.close()
    with pytest.raises(ScalerError, match="cannot be written"):
        journal.hear(an_event())
    os.dup2(spare, journal._descriptor)
    os.close(spare)


def test_the_facts_of_all_runs_are_told_oldest_run_first(state: Path) -> None:
    runs = state / "prod" / "runs"
    runs.mkdir(parents=True)
    fact = '{{"kind": "step-fact", "data": {{"member": "{}"}}}}\n'
    (runs / "20260302-000000-aaaa.jsonl").write_text(fact.format("3"))
    (runs / "20260301-000000-bbbb.jsonl").write_text(fact.format("1") + '{"kind": "step-done"}\n' + fact.format("2"))
    assert [told["member"] for told in facts("prod")] == ["1", "2", "3"]


def test_a_line_that_was_torn_off_by_a_crash_is_passed_over(state: Path) -> None:
    runs = state / "prod" / "runs"
    runs.mkdir(parents=True)
    (runs / "1.jsonl").write_bytes(b'{"kind": "step-fact", "data": {"member": "1"}}\n{"kind": "step-fact", "da\xff')
    assert list(facts("prod")) == [{"member": "1"}]


def test_a_cluster_without_runs_has_no_facts(state: Path) -> None:
    del state
    assert list(facts("prod")) == []


def test_the_fact_of_a_step_is_in_the_journal_and_its_progress_is_not(state: Path) -> None:
    del state
    journal = Journal("prod", "1")
    for kind in ("step-progress", "step-fact"):
        journal.hear(Event(kind=kind, at=BEGIN, run="1", step="a", data={"member": kind}))
    journal.close()
    assert list(facts("prod")) == [{"member": "step-fact"}]


def test_a_disk_that_is_full_is_noticed_before_the_next_step_and_what_is_told_until_then_fits(
    journal: Journal, noting: Noting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = os.posix_fallocate

    def full(descriptor: int, offset: int, length: int) -> None:
        if len(noting.seen) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reserve(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ScalerError, match="cannot be written: No space left on device") as failed:
        Engine(Fakes(tmp_path, hosts("n1"), "a", "b").world, [journal]).run()
    assert len(noting.seen) == 1
    assert f"scaler runs resume {RUN}, or scaler runs rollback {RUN}" in failed.value.hint
    told = lines(journal.path)
    assert [line["kind"] for line in told] == ["run-started", "step-intent", "step-done", "run-ended"]
    assert told[-1]["data"] == {"status": "failed"}


def test_what_a_step_tells_has_its_room_before_the_step_begins(state: Path) -> None:
    del state
    journal = Journal("prod", "1")
    journal.hear(Event(kind="step-intent", at=BEGIN, run=RUN, step="a"))
    assert journal.path.stat().st_blocks * 512 >= RESERVED_BYTES
    written = len(journal.path.read_bytes().rstrip(b"\0"))
    journal.close()
    assert journal.path.stat().st_size == written


def test_a_filesystem_that_cannot_reserve_is_no_reason_to_stop(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    journal.hear(Event(kind="step-intent", at=BEGIN, run=RUN, step="a"))
    assert [line["kind"] for line in lines(journal.path)] == ["step-intent"]


def test_facts_are_told_though_room_that_was_reserved_follows_them(state: Path) -> None:
    runs = state / "prod" / "runs"
    runs.mkdir(parents=True)
    (runs / "1.jsonl").write_bytes(b'{"kind": "step-fact", "data": {"member": "1"}}\n' + b"\0" * 4096)
    assert list(facts("prod")) == [{"member": "1"}]
