"""Let a machine's systemd start the jobs: units written, changed and removed, or lines for a crontab."""

from __future__ import annotations

import difflib
import shlex
from typing import TYPE_CHECKING, Literal, NamedTuple

from scaler.app import jobs
from scaler.errors import InputError
from scaler.gateways import itself, units
from scaler.gateways.commands import GRACE_SECONDS
from scaler.gateways.templates import render
from scaler.model.job_actions import Snapshot
from scaler.model.job_targets import Mail
from scaler.plan import job_schedule

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from scaler.app.jobs import Known
    from scaler.app.service_user import Who
    from scaler.model.jobs import Named

# What a job may still do once its limit is over: stop in order, look, tell.
AFTERWARDS = GRACE_SECONDS + 300
_UTC = {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"}


class Change(NamedTuple):
    """What is done about one unit file."""

    path: Path
    what: Literal["write", "change", "remove", "keep", "in-use"]
    text: str = ""
    diff: str = ""


def changes(known: Known, doer: Who, directory: Path, now: datetime) -> list[Change]:
    """Return what is to be done so that ``directory`` has the units of the jobs, and none of jobs that are gone."""
    wanted = {
        directory / name: text
        for named in known.jobs.named()
        if named.job.enabled
        for name, text in _units(known, named, doer, now).items()
    }
    found = [_change(known, path, text) for path, text in wanted.items()]
    gone = [path for path in units.of(known.cluster, directory) if path not in wanted]
    return [*found, *removals(gone)]


def removals(paths: Iterable[Path]) -> list[Change]:
    """Return that ``paths`` are removed."""
    return [Change(path, "remove", diff=_diff(path, path.read_text(encoding="utf-8"), "")) for path in paths]


def _change(known: Known, path: Path, text: str) -> Change:
    if not path.exists():
        return Change(path, "write", text, _diff(path, "", text))
    old = path.read_text(encoding="utf-8")
    if old == text:
        return Change(path, "keep", text)
    if not units.is_of(known.cluster, old):
        raise InputError(f"{path} is there and was not written by scaler", hint="take it away, or rename the job")
    return Change(path, "change", text, _diff(path, old, text))


def _diff(path: Path, old: str, new: str) -> str:
    names = (str(path) if old else "/dev/null", str(path) if new else "/dev/null")
    return "".join(difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), *names))


def _units(known: Known, named: Named, doer: Who, now: datetime) -> dict[str, str]:
    job, base = named.job, units.name(known.cluster, named.name)
    values = {
        "header": units.header(known.cluster),
        "description": units.escaped(job.description or f"scaler job {named.name} of cluster {known.cluster}"),
        "source": str(known.path),
    }
    service = render(
        "job/job.service.j2",
        **values,
        exec_start=" ".join(map(units.argument, [*itself.program(), *_words(known, named)])),
        **doer.unit(reads=itself.places(), writes=_writes(known, named, doer)),
        own_manager=doer.own_manager,
        credentials=_credentials(named),
        mails=any(isinstance(target, Mail) for target in named.notify),
        start_seconds=int(job.limit + AFTERWARDS),
        stop_seconds=int(GRACE_SECONDS),
    )
    timer = render(
        "job/job.timer.j2",
        **values,
        calendars=jobs.timer(known, named, now),
        random_delay=job.random_delay,
        persistent=job.missed == "catch-up",
    )
    return {f"{base}.service": service, f"{base}.timer": timer}


def _words(known: Known, named: Named) -> list[str]:
    return ["job", "run", named.name, "--cluster", str(known.directory), "--scheduled"]


def _writes(known: Known, named: Named, doer: Who) -> list[Path]:
    places = (doer.state, doer.cache, known.directory, known.jobs.metrics, _snapshots(named))
    return [path for path in places if path]


def _snapshots(named: Named) -> Path | None:
    """Return where the job's snapshots go, None where that is below the state directory."""
    action = named.job.action
    return action.directory if isinstance(action, Snapshot) else None


def _credentials(named: Named) -> list[str]:
    secrets = [secret for target in named.notify for secret in target.secrets if secret.credential]
    told = [f"{each.credential}:{each.file}" if each.file else str(each.credential) for each in secrets]
    return list(dict.fromkeys(told))


def apply(known: Known, doer: Who, todo: Iterable[Change], manager: units.Manager | None) -> list[Change]:
    """Do what is to be done about the unit files, and return what was; ``manager`` then has the timers started."""
    done = _removed(todo, manager)
    for change in done:
        if change.what in {"write", "change"}:
            units.write(change.path, change.text)
    if manager is None:
        return done
    units.own(doer.user, [doer.state, doer.state / known.cluster, doer.cache], mode=0o700)
    snapshots = [_snapshots(named) for named in known.jobs.named()]
    units.own(doer.user, filter(None, snapshots), mode=0o700)
    # node_exporter is another user.
    units.own(doer.user, filter(None, [known.jobs.metrics]), mode=0o755)
    if any(change.what != "keep" for change in done):
        manager.reload()
    # Also those that are as they were: they may have been stopped by hand.
    manager.start(_timers(done, "write", "change", "keep"))
    manager.restart(_timers(done, "change"))
    return done


def take_out(todo: Iterable[Change], manager: units.Manager | None) -> list[Change]:
    """Stop the timers and remove the files; return what was done."""
    done = _removed(todo, manager)
    if manager and done:
        manager.reload()
    return done


def _removed(todo: Iterable[Change], manager: units.Manager | None) -> list[Change]:
    """Stop the timers of jobs that are gone, remove their files, and return what was done.

    A service that runs keeps its file: systemd would forget how long it may run, and end it after 90 s.
    """
    todo = list(todo)
    if manager:
        manager.stop(_timers(todo, "remove"))
        in_use = {change.path for change in todo if change.what == "remove" and manager.runs(change.path.name)}
        todo = [change._replace(what="in-use") if change.path in in_use else change for change in todo]
    for change in todo:
        if change.what == "remove":
            units.remove(change.path)
    return todo


def _timers(todo: Iterable[Change], *what: str) -> list[str]:
    return [change.path.name for change in todo if change.what in what and change.path.suffix == ".timer"]


def crontab(known: Known, doer: Who) -> str:
    """Return lines for a crontab that run the jobs; raises InputError where cron cannot do what a job says."""
    lines = [f"# Jobs of cluster {known.cluster}, by scaler job install --print crontab from {known.path}"]
    for named in known.jobs.named():
        job = named.job
        if not job.enabled:
            continue
        if not job_schedule.is_cron(job.schedule):
            raise InputError(
                f"{known.path}: jobs.{named.name}: {job.schedule!r} is systemd's; a crontab takes five fields of cron",
                hint="write its schedule as cron has it, or install it for systemd",
            )
        job_schedule.calendar(job.schedule)
        mine = units.own_zone()
        if named.time_zone != mine and not {named.time_zone, mine} <= _UTC:
            raise InputError(
                f"jobs.{named.name} is of time zone {named.time_zone}, cron here runs by {mine}",
                hint=f"say time_zone: {mine}, or install it for systemd",
            )
        words = [
            "env",
            *(f"{name}={value}" for name, value in doer.settings.items()),
            *itself.program(),
            *_words(known, named),
        ]
        left = [f"random_delay {job.random_delay}s"] if job.random_delay else []
        left += ["missed: catch-up"] if job.missed == "catch-up" else []
        lines.append(f"# {named.name}" + (f" (cron has no {', no '.join(left)})" if left else ""))
        lines.append(f"{job.schedule} {shlex.join(words)}".replace("%", "\\%"))
    return "\n".join([*lines, ""])
