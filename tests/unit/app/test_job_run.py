from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import jobs
from scaler.engine import job_history, journal, lock
from scaler.errors import BusyError, UnreachableError
from scaler.gateways.commands import Answer
from scaler.model.job_record import Envelope, Trouble
from scaler.model.jobs import Jobs
from tests.fakes.clock import BEGIN, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scaler.model.job_record import Record
    from scaler.model.job_targets import Target

STATUS = {
    "cluster": "prod",
    "at": BEGIN.isoformat(),
    "endpoint": "192.0.2.1:6443",
    "api": True,
    "nodes": [{"name": f"n{number}", "ready": True} for number in range(4)],
    "problems": [],
}


def well(**data: Any) -> Answer:
    return Answer(0, Envelope(exit_code=0, data=data))


def bad(code: int, message: str, hint: str = "", **data: Any) -> Answer:
    return Answer(code, Envelope(exit_code=code, data=data, error=Trouble(kind="x", message=message, hint=hint)))


def planned(*names: str, leaves: str = "") -> Answer:
    hosts = [{"name": name} for name in names]
    return well(plan={"hosts": hosts, "steps": [{"step": "s", "hosts": list(names)}], "leaves": leaves})


@dataclass
class Scaler:
    """A scaler that answers what it is told to; each answer of a verb is given once, the last one for good."""

    clock: FakeClock
    answers: dict[str, list[Answer | Callable[[], Answer]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seconds: float = 10.0
    stopped: int = 0

    def run(self, argv: Sequence[str], *, seconds: float) -> Answer:
        verb = " ".join(argv[:2]) if argv[0] == "runs" else argv[0] + (" --plan" if "--plan" in argv else "")
        self.asked.append(verb)
        self.clock.sleep(min(self.seconds, seconds))
        told = self.answers.get(verb) or [well(**STATUS) if verb == "status" else well(changed=False)]
        answer = told.pop(0) if len(told) > 1 else told[0]
        return answer() if callable(answer) else answer

    def stop(self) -> None:
        self.stopped += 1


@dataclass
class Bench:
    """A cluster's jobs, and all that they touch."""

    directory: Path
    clock: FakeClock
    scaler: Scaler
    said: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    deaf: bool = False

    def run(self, *, scheduled: bool = False, metrics: Path | None = None, **job: Any) -> Record:
        whole = {"schedule": "0 20 * * *", "action": {"do": "scale", "workers": 2}, **job}
        found = Jobs.model_validate({"jobs": {"down": whole}, "metrics": metrics, "notify": [{"mail": ["ops"]}]})
        known = jobs.Known("prod", self.directory, found)
        return jobs.run(known, "down", self.clock, self.scaler, self.said.append, scheduled=scheduled, tell=self._tell)

    def _tell(self, target: Target, record: Record, now: datetime) -> None:
        assert now >= record.began
        if self.deaf:
            raise UnreachableError("nobody listens")
        self.told.append((target.told, record.result))

    @property
    def last(self) -> Record:
        return job_history.records("prod", "down")[-1]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    clock = FakeClock()
    return Bench(tmp_path, clock, Scaler(clock))


def unfinished(name: str, *, job: str = "", change: str = "scale") -> Callable[[], Answer]:
    """Leave the journal of a run that was killed."""

    def leave() -> Answer:
        plan = {
            "change": change,
            "cluster": "prod",
            "hosts": [{"name": "n1", "connection": {"address": "10.0.0.11"}}],
            "steps": [{"step": "worker_installed", "hosts": ["n1"]}],
        }
        at = "2026-03-01T02:00:00Z"
        events: list[dict[str, Any]] = [
            {"kind": "run-started", "at": at, "run": name, "hosts": ["n1"], "data": plan, "version": 1},
            {"kind": "step-intent", "at": at, "run": name, "step": "worker_installed", "hosts": ["n1"]},
        ]
        if job:
            events[0]["job"] = job
        path = journal.runs_dir("prod") / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return bad(-9, "killed")

    return leave


def finished(name: str) -> Callable[[], Answer]:
    def finish() -> Answer:
        (journal.runs_dir("prod") / f"{name}.jsonl").unlink()
        return well(added=["n1"], changed=True, run="later")

    return finish


def test_the_action_is_the_command_that_a_person_would_type_and_its_outcome_is_kept(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [well(run="r1", removed=["n3", "n4"], changed=True)]
    record = bench.run()
    assert record.action == f"scale --workers 2 --cluster {bench.directory} --yes --output json"
    assert (record.result, record.exit_code, record.removed, record.changed) == ("done", 0, ("n3", "n4"), True)
    assert record.ran[0].run == "r1"
    assert record.last_success == record.ended
    assert (record.totals.runs, record.totals.changes, record.totals.failures) == (1, 2, 0)
    assert record.health is not None
    assert record.health.ready == 4
    assert bench.scaler.asked == ["scale", "status"]
    assert bench.last == record
    assert bench.told == []


def test_a_failure_has_the_commands_own_exit_code_and_words_and_is_told(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(9, "0 of 2 hosts made it", "repair n1")]
    record = bench.run()
    assert (record.result, record.exit_code, record.message, record.hint) == (
        "failed",
        9,
        "0 of 2 hosts made it",
        "repair n1",
    )
    assert record.last_success is None
    assert bench.told == [("mail to ops", "failed")]
    told = jobs.error(record)
    assert told is not None
    assert (told.exit_code, told.kind, told.message) == (9, "step", "job down: 0 of 2 hosts made it")


def test_counts_go_on_from_run_to_run(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(9, "no"), well(added=["n1"], changed=True)]
    first, second, third = bench.run(), bench.run(), bench.run()
    assert [each.totals.runs for each in (first, second, third)] == [1, 2, 3]
    assert (third.totals.failures, third.totals.changes) == (1, 2)
    assert third.last_success == third.ended


def test_who_could_not_be_told_changes_nothing_and_is_named(bench: Bench) -> None:
    bench.deaf = True
    bench.scaler.answers["scale"] = [bad(9, "no")]
    record = bench.run()
    assert (record.exit_code, record.told) == (9, {"mail to ops": "nobody listens"})
    assert "warning: mail to ops was not told: nobody listens" in bench.said


def test_outside_its_window_nothing_is_run_and_nobody_is_woken(bench: Bench) -> None:
    record = bench.run(window={"not_before": "22:00", "not_after": "23:00"})
    assert (record.result, record.exit_code, bench.scaler.asked, bench.told) == ("skipped", 31, [], [])
    assert "it is 02:00 in UTC" in record.message
    assert record.totals.failures == 0


def test_a_change_that_is_too_large_is_refused_before_anything_is_changed(bench: Bench) -> None:
    bench.scaler.answers["scale --plan"] = [planned("n1", "n2", "n3", leaves="workers")]
    record = bench.run(guards={"max_change": 2})
    assert (record.result, record.exit_code) == ("refused", 5)
    assert "max_change is 2" in record.message
    assert "scale" not in bench.scaler.asked
    assert bench.told == [("mail to ops", "refused")]


def test_a_change_that_leaves_too_few_ready_nodes_is_refused(bench: Bench) -> None:
    bench.scaler.answers["scale --plan"] = [planned("n1", "n2", leaves="workers")]
    record = bench.run(guards={"min_ready": 3})
    assert (record.result, record.exit_code) == ("refused", 5)
    assert "4 nodes are Ready, 2 of them would leave, and min_ready is 3" in record.message
    assert "scale" not in bench.scaler.asked


def test_a_change_within_its_guards_is_made(bench: Bench) -> None:
    bench.scaler.answers["scale --plan"] = [planned("n1", leaves="workers")]
    assert bench.run(guards={"min_ready": 3, "max_change": 1}).result == "done"
    assert bench.scaler.asked == ["scale --plan", "status", "scale", "status"]


def test_a_plan_that_is_refused_refuses_the_job_with_its_code(bench: Bench) -> None:
    bench.scaler.answers["scale --plan"] = [bad(4, "n2: refused: swap")]
    record = bench.run(guards={"max_change": 1})
    assert (record.result, record.exit_code) == ("failed", 4)
    assert record.message == "it could not be planned: n2: refused: swap"


def test_an_alert_that_fires_refuses_and_a_quiet_one_does_not(bench: Bench) -> None:
    fires = ["sh", "-c", "echo 3 alerts fire; exit 1"]
    record = bench.run(guards={"no_alert": fires})
    assert (record.result, record.exit_code, record.message) == ("refused", 5, "an alert fires: 3 alerts fire")
    assert "scale" not in bench.scaler.asked
    assert bench.run(guards={"no_alert": ["true"]}).result == "done"


@pytest.mark.parametrize("argv", [["/nowhere/alerts"], ["sleep", "5"]])
def test_alerts_of_which_nobody_tells_refuse(bench: Bench, argv: list[str]) -> None:
    record = bench.run(guards={"no_alert": argv, "alert_timeout": "1s"})
    assert (record.result, record.exit_code) == ("refused", 5)
    assert "whether an alert fires cannot be told" in record.message


@pytest.mark.parametrize("owner", ["", "morning"])
def test_an_unfinished_run_of_somebody_elses_refuses(bench: Bench, owner: str) -> None:
    unfinished("20260301-010000-aaaa", job=owner)()
    record = bench.run()
    assert (record.result, record.exit_code, bench.scaler.asked) == ("refused", 5, ["status"])
    assert "20260301-010000-aaaa" in record.message
    assert bench.run(guards={"no_unfinished": False}).result == "done"


def test_what_the_job_itself_left_half_way_is_finished_first(bench: Bench) -> None:
    run = "20260301-010000-aaaa"
    unfinished(run, job="down")()
    bench.scaler.answers["runs resume"] = [finished(run)]
    record = bench.run()
    assert (record.result, record.resumed, record.added) == ("done", run, ("n1",))
    assert bench.scaler.asked == ["runs resume", "scale", "status"]


def test_what_cannot_be_finished_ends_the_job(bench: Bench) -> None:
    run = "20260301-010000-aaaa"
    unfinished(run, job="down")()
    bench.scaler.answers["runs resume"] = [bad(7, "n1 does not answer")]
    record = bench.run()
    assert (record.result, record.exit_code) == ("failed", 7)
    assert record.message == f"run {run} could not be finished: n1 does not answer"
    assert "scale" not in bench.scaler.asked


def test_a_job_whose_process_was_killed_is_interrupted_counted_and_told_at_the_next_run(bench: Bench) -> None:
    bench.run()
    dead = bench.last.model_copy(update={"id": "20260301-015900-000000", "result": "running", "ended": None, "pid": 1})
    job_history.write(dead)
    later = bench.last.model_copy(update={"id": job_history.new_id(bench.clock.now()), "result": "running"})
    job_history.write(later)
    assert [each.result for each in job_history.records("prod", "down")] == ["interrupted", "done", "interrupted"]
    bench.clock.sleep(60)
    record = bench.run()
    assert ("mail to ops", "interrupted") in bench.told
    assert record.result == "done"
    assert record.totals.failures == 1


def test_a_failed_action_is_tried_again_as_often_and_as_late_as_it_says(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(7, "m1 is silent"), bad(7, "m1 is silent"), well(changed=True)]
    began = bench.clock.now()
    record = bench.run(on_failure={"retry": 3, "after": "10m"})
    assert (record.result, [each.exit_code for each in record.ran]) == ("done", [7, 7, 0])
    assert bench.clock.now() - began >= timedelta(minutes=20)


def test_what_fails_to_the_end_keeps_the_last_reason(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(7, "first"), bad(9, "second")]
    record = bench.run(on_failure={"retry": 1, "after": "1m"})
    assert (record.result, record.exit_code, record.message) == ("failed", 9, "second")


def test_what_was_wrong_with_the_words_is_not_tried_again(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(3, "no such pool")]
    assert bench.run(on_failure={"retry": 3}).exit_code == 3
    assert bench.scaler.asked == ["scale", "status"]


def test_a_try_that_the_window_does_not_allow_is_not_made(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(7, "m1 is silent")]
    record = bench.run(window={"not_after": "02:05"}, on_failure={"retry": 3, "after": "10m"})
    assert (record.exit_code, record.message) == (7, "m1 is silent")
    assert "not tried again: outside its window" in record.hint


def test_a_try_for_which_no_time_is_left_is_not_made(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(7, "m1 is silent")]
    assert bench.run(limit="5m", on_failure={"retry": 3, "after": "10m"}).exit_code == 7
    assert bench.scaler.asked == ["scale", "status"]


def test_what_a_try_left_half_way_is_finished_before_the_next(bench: Bench) -> None:
    run = "20260301-020000-aaaa"
    bench.scaler.answers["scale"] = [unfinished(run, job="down"), well()]
    bench.scaler.answers["runs resume"] = [finished(run)]
    record = bench.run(on_failure={"retry": 1, "after": "1m"})
    assert (record.result, record.resumed) == ("done", run)
    assert bench.scaler.asked == ["scale", "runs resume", "scale", "status"]


def test_a_failed_action_is_rolled_back_where_the_job_says_so(bench: Bench) -> None:
    run = "20260301-020000-aaaa"
    bench.scaler.answers["scale"] = [unfinished(run, job="down")]
    bench.scaler.answers["runs rollback"] = [well(taken_back=["n1"])]
    record = bench.run(on_failure={"then": "roll-back"})
    assert (record.result, record.rolled_back) == ("failed", run)
    assert bench.scaler.asked == ["scale", "runs rollback", "status"]


def test_a_rollback_that_is_refused_is_told(bench: Bench) -> None:
    run = "20260301-020000-aaaa"
    bench.scaler.answers["scale"] = [unfinished(run, job="down")]
    bench.scaler.answers["runs rollback"] = [bad(2, "n1 takes pods")]
    record = bench.run(on_failure={"then": "roll-back"})
    assert (record.rolled_back, record.hint) == ("", f"run {run} was not taken back: n1 takes pods")


def test_a_locked_cluster_is_waited_for(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(6, "ops is at it"), bad(6, "ops is at it"), well(changed=True)]
    record = bench.run(wait_lock="5m")
    assert (record.result, [each.exit_code for each in record.ran]) == ("done", [0])
    assert "waiting at most 5m: ops is at it" in bench.said


def test_a_cluster_that_stays_locked_ends_the_job_with_a_code_of_its_own(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(6, "ops is at it")]
    began = bench.clock.now()
    record = bench.run(wait_lock="2m")
    assert (record.result, record.exit_code) == ("busy", 30)
    assert record.message == "the cluster was not free within 2m: ops is at it"
    assert timedelta(minutes=2) <= bench.clock.now() - began < timedelta(minutes=3)
    assert bench.told == [("mail to ops", "busy")]


def test_without_patience_it_leaves_at_once(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [bad(6, "ops is at it")]
    assert bench.run(wait_lock=0).exit_code == 30
    assert bench.scaler.asked == ["scale"]


def test_a_lock_of_this_machine_that_becomes_free_is_seen_at_once(bench: Bench) -> None:
    bench.scaler.seconds = 0.0
    held = lock.locked("prod", "add-node n9")
    held.__enter__()
    slept: list[float] = []
    plain = bench.clock.sleep

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 12:
            held.__exit__(None, None, None)
        plain(seconds)

    bench.clock.sleep = sleep  # type: ignore[method-assign]
    bench.scaler.answers["scale"] = [bad(6, "ops is at it"), well()]
    record = bench.run(wait_lock="5m")
    assert record.result == "done"
    assert record.seconds < 15


def test_a_job_that_runs_already_is_refused(bench: Bench) -> None:
    with job_history.alone("prod", "down"), pytest.raises(BusyError, match="is running already"):
        bench.run()


def test_a_job_that_is_over_its_limit_is_told_to_stop_and_says_so(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [Answer(10, Envelope(exit_code=10, error=Trouble(message="stopped")), late=True)]
    record = bench.run(limit="5m", on_failure={"retry": 3, "after": "1s"})
    assert (record.result, record.exit_code) == ("failed", 1)
    assert "not done within its limit of 5m; it was told to stop: stopped" in record.message
    assert bench.scaler.asked == ["scale", "status"]


def test_an_interrupted_job_is_neither_tried_again_nor_rolled_back(bench: Bench) -> None:
    def interrupted() -> Answer:
        os.kill(os.getpid(), signal.SIGTERM)
        return bad(10, "stopped in order")

    bench.scaler.answers["scale"] = [interrupted]
    record = bench.run(on_failure={"retry": 3, "then": "roll-back"})
    assert (record.result, record.exit_code, bench.scaler.stopped) == ("aborted", 10, 1)
    assert bench.scaler.asked == ["scale"]


def test_certificates_that_end_soon_fail_a_job_that_looks_for_them(bench: Bench) -> None:
    ends = {"host": "m1", "what": "ca.crt", "ends": (BEGIN + timedelta(days=20)).isoformat()}
    data: dict[str, Any] = {**STATUS, "certificates": [ends]}
    bench.scaler.answers["status"] = [bad(4, "cluster prod is not well", **data)]
    record = bench.run(action={"do": "certs", "warn_days": 30})
    assert (record.result, record.exit_code) == ("failed", 4)
    assert record.message == "a certificate ends within 30 days: ca.crt of m1 ends in 20 days"
    # Whatever else is not well is the business of a job that looks at that.
    assert bench.run(action={"do": "certs", "warn_days": 10}).result == "done"
    assert bench.run(action={"do": "status"}).exit_code == 4
    assert bench.scaler.asked == ["status"] * 3


def test_a_look_at_certificates_that_sees_none_fails_the_job(bench: Bench) -> None:
    bench.scaler.answers["status"] = [well(**STATUS)]
    record = bench.run(action={"do": "certs"})
    assert (record.result, record.message) == ("failed", "no certificate was seen")


def test_certificates_of_which_nobody_tells_fail_the_job(bench: Bench) -> None:
    bench.scaler.answers["status"] = [bad(7, "nothing answers")]
    record = bench.run(action={"do": "certs"})
    assert (record.result, record.exit_code) == ("failed", 7)


def test_a_command_without_an_envelope_is_a_failure_with_its_last_words(bench: Bench) -> None:
    bench.scaler.answers["scale"] = [Answer(2, None, "Usage: scaler scale\nError: no such option: --workers\n")]
    record = bench.run()
    assert (record.result, record.exit_code) == ("failed", 2)
    assert "no such option: --workers" in record.message


def test_a_time_that_a_clock_shows_twice_is_run_once_by_timers_and_as_often_as_you_like_by_hand(bench: Bench) -> None:
    bench.clock.jump((datetime(2026, 10, 25, 0, 30, tzinfo=UTC) - BEGIN).total_seconds())
    zone: dict[str, Any] = {"time_zone": "Europe/Berlin"}
    assert bench.run(scheduled=True, **zone).result == "done"
    bench.clock.jump((datetime(2026, 10, 25, 1, 30, tzinfo=UTC) - bench.clock.now()).total_seconds())
    again = bench.run(scheduled=True, **zone)
    assert (again.result, again.exit_code) == ("skipped", 31)
    assert bench.run(**zone).result == "done"


def test_metrics_are_written_for_every_run_and_a_place_that_is_not_there_is_only_said(
    bench: Bench, tmp_path: Path
) -> None:
    bench.run(metrics=tmp_path / "metrics")
    path = tmp_path / "metrics" / "scaler-prod.prom"
    assert 'scaler_job_last_result{cluster="prod",job="down",result="done"} 1' in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    (tmp_path / "file").write_text("")
    assert bench.run(metrics=tmp_path / "file" / "x").result == "done"
    assert any("cannot be written" in each for each in bench.said)


def test_the_oldest_records_go(bench: Bench) -> None:
    for _ in range(5):
        bench.run(keep=3)
        bench.clock.sleep(1)
    assert len(job_history.records("prod", "down")) == 3


def test_a_record_that_is_not_understood_hides_no_other(bench: Bench) -> None:
    bench.run()
    (job_history.directory("prod", "down") / "20990101-000000-000000.json").write_text("{")
    assert [each.result for each in job_history.records("prod", "down")] == ["done"]


def test_nodes_of_a_cloud_s_pool_are_counted_also_where_not_all_came(bench: Bench) -> None:
    action = {"do": "scale", "pool": "web", "to": 5}
    bench.scaler.answers["scale"] = [
        bad(2, "asked for 5, got 4", pool="web", added=["ip-1", "ip-2"], removed=[], changed=True),
        well(pool="web", added=["ip-2", "ip-3"], removed=["ip-0"], changed=True),
    ]
    record = bench.run(action=action, on_failure={"retry": 1, "after": "10s"})
    assert (record.added, record.removed, record.totals.changes) == (("ip-1", "ip-2", "ip-3"), ("ip-0",), 4)
