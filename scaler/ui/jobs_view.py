"""Jobs, how they ended and their units, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console

from scaler.app import jobs
from scaler.engine import job_history
from scaler.model.durations import told as in_words
from scaler.plan import job_argv
from scaler.ui import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from scaler.app.job_install import Change
    from scaler.app.jobs import Known
    from scaler.model.job_record import Record
    from scaler.model.jobs import Named

_TIMES = 5


def row(known: Known, named: Named, now: datetime) -> dict[str, Any]:
    """Return one line of the list."""
    due = jobs.following(known, named, now, 1) if named.job.enabled else []
    last = job_history.records(known.cluster, named.name)[-1:]
    return {
        "job": named.name,
        "description": named.job.description,
        "schedule": named.job.schedule,
        "time_zone": named.time_zone,
        "enabled": named.job.enabled,
        "command": command(known, named),
        "next": due[0].isoformat() if due else None,
        "last": data(last[0]) if last else None,
    }


def command(known: Known, named: Named) -> str:
    """Return the job's action as a person would type it."""
    return "scaler " + " ".join(job_argv.command(named.job.action, known.cluster)[:-2])


def whole(known: Known, named: Named, now: datetime) -> dict[str, Any]:
    """Return all that is known of one job, with what its timer waits for."""
    due = jobs.following(known, named, now, _TIMES)
    return {
        **row(known, named, now),
        "file": str(known.path),
        "calendars": list(jobs.timer(known, named, now)),
        "times": [time.isoformat() for time in due],
        "settings": named.job.model_dump(mode="json", exclude={"notify"}),
        "told": [target.told for target in named.notify],
    }


def data(record: Record) -> dict[str, Any]:
    """Return a record as a program gets it."""
    return {**record.model_dump(mode="json"), "seconds": round(record.seconds, 3)}


def show_list(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the jobs, a line each."""
    lines = [("job", "schedule", "time zone", "next (UTC)", "last", "does")]
    for each in rows:
        due = "off" if not each["enabled"] else _short(each["next"])
        last = each["last"]
        ended = f"{last['result']} {_short(last['began'])}" if last else ""
        lines.append((each["job"], each["schedule"], each["time_zone"], due, ended, each["command"]))
    _table(lines)


def show(told: Mapping[str, Any]) -> None:
    """Print one job."""
    console = _console()
    console.print(f"job {told['job']}" + (f": {told['description']}" if told["description"] else ""), style="bold")
    settings, guards = told["settings"], told["settings"]["guards"]
    words = {
        "does": told["command"],
        "schedule": f"{told['schedule']} in {told['time_zone']}" + ("" if told["enabled"] else "; off"),
        "missed": settings["missed"],
        "window": _window(settings["window"]),
        "guards": ", ".join(f"{name} {value}" for name, value in guards.items() if value and name != "alert_timeout"),
        "on failure": _failure(settings["on_failure"]),
        "waits": f"{in_words(settings['wait_lock'])} for the cluster; at work at most {in_words(settings['limit'])}",
        "tells": ", ".join(told["told"]) or "nobody",
        "next (UTC)": ", ".join(_short(time) for time in told["times"]),
        "from": told["file"],
    }
    for name, value in words.items():
        console.print(f"{name:<12}{value}")
    if told["last"]:
        console.print(f"{'last':<12}{told['last']['result']} {_short(told['last']['began'])} {told['last']['message']}")


def _window(told: Mapping[str, Any] | None) -> str:
    if not told:
        return "always open"
    until = f" to {told['not_after'][:5]}" if told["not_after"] else ""
    return f"{told['not_before'][:5]}{until} on {' '.join(told['days'])}"


def _failure(told: Mapping[str, Any]) -> str:
    again = f"{told['retry']} more times, each after {in_words(told['after'])}; then " if told["retry"] else ""
    return again + {"leave": "it is left as it is", "roll-back": "it is rolled back"}[told["then"]]


def show_record(record: Record) -> None:
    """Print how a run of a job ended, where that is no error."""
    changed = [f"added {', '.join(record.added)}"] if record.added else []
    changed += [f"removed {', '.join(record.removed)}"] if record.removed else []
    if record.result == "done":
        told = "; ".join(changed) or "nothing had to change"
        _console().print(f"job {record.job}: done in {record.seconds:.1f} s: {told}")


def show_next(chosen: Iterable[Named], due: Mapping[str, Sequence[datetime]]) -> None:
    """Print the next times, a line each."""
    lines = [("job", "time", "UTC")]
    for named in chosen:
        for time in due[named.name]:
            here = time.astimezone(ZoneInfo(named.time_zone))
            lines.append((named.name, f"{here:%a %Y-%m-%d %H:%M:%S %Z}", f"{time:%Y-%m-%d %H:%M:%S}"))
    _table(lines)


def show_history(found: Sequence[Record]) -> None:
    """Print records, a line each, and what the newest of each job that did not end well says."""
    lines = [("began (UTC)", "job", "result", "code", "seconds", "changed", "")]
    for record in found:
        changed = " ".join([*(f"+{name}" for name in record.added), *(f"-{name}" for name in record.removed)])
        words = (f"{record.began:%Y-%m-%d %H:%M:%S}", record.job, record.result, str(record.exit_code))
        message = (record.message.splitlines() or [""])[0]
        lines.append((*words, f"{record.seconds:.1f}", changed, message))
    _table(lines)


def unit_data(todo: Iterable[Change], *, plan: bool) -> dict[str, Any]:
    """Return what was, or would be, done about unit files."""
    todo = list(todo)
    told = [{"path": str(each.path), "change": each.what, "diff": each.diff} for each in todo]
    return {"units": told, "changed": not plan and any(each.what not in {"keep", "in-use"} for each in todo)}


def show_units(todo: Iterable[Change], *, plan: bool) -> None:
    """Print what was, or with ``plan`` would be, done about unit files, in the latter case line by line."""
    console = _console()
    words = {
        "write": "written",
        "change": "changed",
        "remove": "removed",
        "keep": "as it is",
        "in-use": "kept while its job runs; say this again when that has ended",
    }
    todo = list(todo)
    for each in todo:
        console.print(f"{each.path}: {'would be ' if plan and each.what != 'keep' else ''}{words[each.what]}")
        if plan and each.diff:
            console.print(each.diff, style="dim")
    if not todo:
        console.print("there are no units of scaler's for this cluster")


def _short(time: str | None) -> str:
    return time[:19].replace("T", " ") if time else ""


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    # Not a table of rich's, which cuts words off where the terminal is narrow: they are there to be copied.
    for line in table.lines(rows):
        _console().print(line)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False)
