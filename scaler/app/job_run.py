"""Run a job: may it begin, is anything of its own unfinished, is the change small enough; then the command itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from scaler import errors
from scaler.engine import history, job_history, lock
from scaler.engine.interrupts import Interrupts
from scaler.errors import (
    AbortedError,
    BusyError,
    GuardError,
    InputError,
    LockedError,
    NotNowError,
    PreflightError,
    ScalerError,
)
from scaler.gateways.clock import wait_until
from scaler.gateways.process import ProcessError
from scaler.gateways.process import run as run_program
from scaler.model.durations import told as in_words
from scaler.model.job_actions import Certs, Look
from scaler.model.job_record import Ran, Record, Totals
from scaler.plan import job_argv, job_guards, job_schedule, job_window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scaler.gateways.clock import Clock
    from scaler.gateways.commands import Answer, Commands
    from scaler.model.job_record import Health, Result
    from scaler.model.jobs import Named

# Where it is another machine's, nobody tells when it is free.
LEASE_SECONDS = 15.0
STATUS_SECONDS = 120.0
# What was wrong with the words stays wrong, and who interrupts does not want it tried again.
_FINAL = {InputError.exit_code, AbortedError.exit_code}
_RESULTS: tuple[tuple[type[ScalerError], Result], ...] = (
    (GuardError, "refused"),
    (NotNowError, "skipped"),
    (BusyError, "busy"),
    (AbortedError, "aborted"),
)


class Stopping(Interrupts):
    """Signals to a job go to the command that runs: the first lets it stop in order, a second aborts it."""

    def __init__(self, commands: Commands) -> None:
        super().__init__()
        self._commands = commands

    def come(self) -> None:
        """Take in one signal."""
        self.count += 1
        self._commands.stop()


@dataclass
class Working:
    """One run of a job, while it goes on."""

    named: Named
    cluster: str
    directory: Path
    clock: Clock
    commands: Commands
    say: Callable[[str], None]
    interrupts: Interrupts
    record: Record
    deadline: float
    lock_deadline: float | None = None
    ran: list[Ran] = field(default_factory=list)
    health: Health | None = None
    seen: bool = False
    late: bool = False

    def note(self, **told: object) -> None:
        """Write down what is known by now, so that it is known whatever comes."""
        self.record = self.record.model_copy(update={**told, "ran": tuple(self.ran)})
        job_history.write(self.record)


def begin(
    named: Named,
    cluster: str,
    directory: Path,
    clock: Clock,
    commands: Commands,
    say: Callable[[str], None],
    *,
    scheduled: bool,
    last: Record | None,
) -> Working:
    """Write down that a run of the job begins, which the caller is alone with."""
    now = clock.now()
    argv = job_argv.command(named.job.action, str(directory))
    totals = last.totals if last else Totals()
    record = Record(
        id=job_history.new_id(now),
        job=named.name,
        cluster=cluster,
        action=" ".join(argv),
        began=now,
        scheduled=scheduled,
        pid=os.getpid(),
        last_success=last.last_success if last else None,
        totals=totals.model_copy(update={"runs": totals.runs + 1}),
    )
    job_history.write(record)
    deadline = clock.monotonic() + named.job.limit
    return Working(named, cluster, directory, clock, commands, say, Stopping(commands), record, deadline)


def work(run: Working, previous: Sequence[Record]) -> None:
    """Do what the job says; how that ended is in ``run.record``, and nothing is raised."""
    error: ScalerError | None = None
    with run.interrupts.listening():
        try:
            _may_begin(run, previous)
            _guard_before(run)
            _resume(run)
            _guard_change(run)
            _act(run)
        except ScalerError as e:
            error = e
        if not isinstance(error, NotNowError | BusyError | AbortedError) and not run.seen:
            _look(run)
    _end(run, error)


def _may_begin(run: Working, previous: Sequence[Record]) -> None:
    job, now = run.named.job, run.clock.now()
    why = job_window.closed(job.window, now, run.named.time_zone)
    if why:
        raise NotNowError(f"outside its window: {why}", hint="wait for it, or change the window in jobs.yaml")
    began = next((record.began for record in reversed(previous) if record.scheduled), None)
    delay = timedelta(seconds=job.random_delay)
    if run.record.scheduled and job_schedule.repeated(began, now, run.named.time_zone, delay):
        raise NotNowError(
            f"the clock of {run.named.time_zone} has gone back, and shows a time at which the job ran already"
        )


def _unfinished(run: Working) -> list[history.Run]:
    return history.unfinished(history.runs(run.cluster))


def _guard_before(run: Working) -> None:
    """Refuse where somebody else's run is half-way, or something is alarming."""
    guards = run.named.job.guards
    why = job_guards.foreign(guards, _unfinished(run), run.named.name)
    if why:
        raise GuardError(why, hint="finish or take back that run first: scaler runs list --unfinished")
    if not guards.no_alert:
        return
    name = guards.no_alert[0]
    try:
        said = run_program(guards.no_alert, timeout=guards.alert_timeout, check=False)
    except ProcessError as e:
        raise GuardError(f"whether an alert fires cannot be told: {e.message}", hint="see guards.no_alert") from e
    if said.status != 0:
        words = (said.out.strip() or said.err.strip() or f"{name} ended with {said.status}").splitlines()
        raise GuardError(f"an alert fires: {words[0]}", hint=f"the job goes on once {name} ends with 0")


def _resume(run: Working) -> None:
    """Go on with what an earlier run of this job left half-way."""
    for name in job_guards.own(_unfinished(run), run.named.name):
        run.say(f"run {name} of an earlier run of this job is unfinished; it is gone on with first")
        answer = _call(run, job_argv.resume(name, str(run.directory)))
        _take(run, answer)
        run.note(resumed=name)
        if answer.exit_code:
            raise _error(answer, f"run {name} could not be finished")


def _guard_change(run: Working) -> None:
    """Refuse a change that is too large, or leaves too few nodes; only planned for that where a guard asks."""
    guards, action = run.named.job.guards, run.named.job.action
    if guards.max_change is None and guards.min_ready is None:
        return
    answer = _call(run, job_argv.look(action, str(run.directory)))
    if answer.exit_code:
        raise _error(answer, "it could not be planned")
    planned = job_guards.change(answer.envelope.data if answer.envelope else {})
    why = job_guards.too_much(guards, planned)
    if not why and guards.min_ready is not None:
        _look(run)
        run.seen = False
        why = job_guards.too_few(guards, planned, run.health)
    if why:
        raise GuardError(why, hint=f"look: scaler {' '.join(job_argv.look(action, str(run.directory))[:-2])}")


def _act(run: Working) -> None:
    """Run the action, again where it fails and the job says so; then take back what is left, where it says that."""
    failure = run.named.job.on_failure
    tries = failure.retry
    error = _try(run)
    while error is not None and tries and error.exit_code not in _FINAL and not run.interrupts.count and not run.late:
        tries -= 1
        run.say(f"{error.message}; tried again in {in_words(failure.after)}")
        if not _waited(run, failure.after):
            break
        try:
            _may_begin(run, ())
            _guard_before(run)
            _resume(run)
        except ScalerError as e:
            error.hint = f"not tried again: {e.message}"
            break
        error = _try(run)
    if error is None:
        return
    if failure.then == "roll-back" and not run.interrupts.count:
        _roll_back(run, error)
    raise error


def _try(run: Working) -> ScalerError | None:
    """Run the action once; return why it did not end well, None where it did."""
    answer = _call(run, job_argv.command(run.named.job.action, str(run.directory)))
    run.late = answer.late
    return _verdict(run, answer)


def _verdict(run: Working, answer: Answer) -> ScalerError | None:
    """Return why the action did not end well, None where it did."""
    _take(run, answer)
    action, data = run.named.job.action, answer.envelope.data if answer.envelope else {}
    if isinstance(action, Look | Certs) and data:
        run.health, run.seen = job_guards.health(data), True
    if isinstance(action, Certs) and run.health is not None:
        if not run.health.certificates:
            return PreflightError(
                "no certificate was seen", hint="scaler status tells which hosts could not be asked, and why"
            )
        soon = job_guards.ending(run.health, action.warn_days)
        count = f"{len(soon)} certificates end" if len(soon) > 1 else "a certificate ends"
        told = f"{count} within {action.warn_days} days: {'; '.join(soon)}"
        return PreflightError(told, hint="renew what ends, and have its component read it again") if soon else None
    if run.interrupts.count:
        return AbortedError(f"interrupted: {answer.message or 'the command had ended'}")
    if answer.late:
        return ScalerError(
            f"not done within its limit of {in_words(run.named.job.limit)}; it was told to stop: {answer.message}",
            hint="the job's next run goes on with what it began",
        )
    return _error(answer) if answer.exit_code else None


def _error(answer: Answer, what: str = "") -> ScalerError:
    """Return the error that a command ended with, as the class that has its exit code."""
    hint = answer.envelope.error.hint if answer.envelope and answer.envelope.error else ""
    message = f"{what}: {answer.message}" if what else answer.message
    return errors.of(answer.exit_code)(message, hint=hint)


def _roll_back(run: Working, error: ScalerError) -> None:
    for name in reversed(job_guards.own(_unfinished(run), run.named.name)):
        run.say(f"taking back run {name}")
        try:
            answer = _call(run, job_argv.roll_back(name, str(run.directory)))
        except ScalerError as e:
            error.hint = f"run {name} was not taken back: {e.message}"
            return
        if answer.exit_code:
            error.hint = f"run {name} was not taken back: {answer.message}"
            return
        run.note(rolled_back=name)


def _call(run: Working, argv: Sequence[str]) -> Answer:
    """Run a command; while the cluster is somebody else's wait, as long as the job may."""
    while True:
        if run.interrupts.count:
            raise AbortedError(f"stopped before scaler {argv[0]}")
        began = run.clock.monotonic()
        if began >= run.deadline:
            raise ScalerError(f"its limit of {in_words(run.named.job.limit)} is over before scaler {argv[0]}")
        answer = run.commands.run(argv, seconds=run.deadline - began)
        took = run.clock.monotonic() - began
        name = str((answer.envelope.data.get("run") if answer.envelope else "") or "")
        words = Ran(
            argv=tuple(argv), exit_code=answer.exit_code, seconds=round(took, 3), run=name, message=answer.message
        )
        if answer.exit_code != LockedError.exit_code:
            run.lock_deadline = None
            run.ran.append(words)
            run.note()
            return answer
        _wait_for_lock(run, words)


def _wait_for_lock(run: Working, refused: Ran) -> None:
    now, patience = run.clock.monotonic(), run.named.job.wait_lock
    if run.lock_deadline is None:
        run.lock_deadline = now + patience
        run.say(f"waiting at most {in_words(patience)}: {refused.message}")
    if now >= run.lock_deadline:
        run.ran.append(refused)
        raise BusyError(
            f"the cluster was not free within {in_words(patience)}: {refused.message}",
            hint="nothing was touched; the job's next run tries again",
        )
    here = lock.look(run.cluster) is not None
    wait_until(
        run.clock,
        lambda: bool(run.interrupts.count) or (here and lock.look(run.cluster) is None),
        timeout=min(LEASE_SECONDS, run.lock_deadline - now),
        every=1.0,
    )


def _waited(run: Working, seconds: float) -> bool:
    """Wait before another try; tell whether there is time for it, and nobody interrupted."""
    if run.clock.monotonic() + seconds >= run.deadline:
        return False
    return not wait_until(run.clock, lambda: bool(run.interrupts.count), timeout=seconds, every=1.0)


def _take(run: Working, answer: Answer) -> None:
    """Write down what a command changed."""
    data = answer.envelope.data if answer.envelope else {}
    added = tuple(dict.fromkeys((*run.record.added, *(data.get("added") or ()))))
    removed = tuple(dict.fromkeys((*run.record.removed, *(data.get("removed") or ()))))
    run.note(added=added, removed=removed, changed=run.record.changed or bool(data.get("changed")))


def _look(run: Working) -> None:
    """See how the cluster is; that it is not well is no failure of the job."""
    try:
        answer = run.commands.run(job_argv.status(str(run.directory)), seconds=STATUS_SECONDS)
        run.health, run.seen = job_guards.health(answer.envelope.data if answer.envelope else {}), True
    except (ScalerError, ValueError) as e:
        run.say(f"how the cluster is cannot be told: {e}")


def _end(run: Working, error: ScalerError | None) -> None:
    result = next((told for kind, told in _RESULTS if isinstance(error, kind)), "failed") if error else "done"
    now, record = run.clock.now(), run.record
    bad = result not in {"done", "skipped"}
    totals = record.totals.model_copy(
        update={
            "changes": record.totals.changes + len(record.added) + len(record.removed),
            "failures": record.totals.failures + bad,
        }
    )
    run.note(
        ended=now,
        result=result,
        exit_code=error.exit_code if error else 0,
        message=error.message if error else "",
        hint=error.hint if error else "",
        health=run.health,
        totals=totals,
        last_success=now if result == "done" else record.last_success,
    )
