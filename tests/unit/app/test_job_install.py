"""Units as systemd itself sees them."""

from __future__ import annotations

import getpass
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import job_install
from scaler.app.jobs import Known
from scaler.app.service_user import who
from scaler.errors import InputError
from scaler.gateways import units
from scaler.model.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOWN: dict[str, Any] = {"schedule": "30 2 * * *", "action": {"do": "scale", "workers": 2}, "time_zone": "Europe/Berlin"}
SNAPSHOT: dict[str, Any] = {
    "schedule": "*-*-* 00/6:15",
    "action": {"do": "snapshot"},
    "random_delay": "10m",
    "missed": "skip",
    "description": "every 6 h, 100% of it",
}


class Manager(units.Manager):
    """A systemd that notes what it is told."""

    calls: list[tuple[str, ...]] = []  # noqa: RUF012 - cleared by the fixture

    running: set[str] = set()  # noqa: RUF012 - cleared by the fixture

    def runs(self, unit: str) -> bool:
        return unit in self.running

    def _call(self, *argv: str) -> None:
        self.calls.append(argv)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SCALER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SCALER_INVENTORIES", raising=False)
    Manager.calls.clear()
    Manager.running.clear()
    (tmp_path / "units").mkdir()
    return tmp_path / "units"


def known(place: Path, cluster: str = "prod", **jobs: Any) -> Known:
    told = {"jobs": jobs, "metrics": str(place.parent / "metrics"), "notify": []}
    return Known(cluster, place.parent / "inventory of prod", Jobs.model_validate(told))


def install(place: Path, told: Known, *, own_manager: bool = False) -> list[tuple[str, str]]:
    doer = who("", own_manager=own_manager)
    todo = job_install.changes(told, doer, place, NOW)
    done = job_install.apply(told, doer, todo, Manager(own_manager))
    return [(change.what, change.path.name) for change in done]


def analysed(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True, check=False)


def values(text: str, key: str) -> Sequence[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@pytest.mark.parametrize("own_manager", [False, True])
def test_systemd_finds_nothing_to_say_about_the_units(place: Path, *, own_manager: bool) -> None:
    install(place, known(place, down=DOWN, snapshot=SNAPSHOT), own_manager=own_manager)
    files = sorted(str(path) for path in place.iterdir())
    assert len(files) == 4
    done = analysed("verify", "--man=no", "--recursive-errors=no", *files)
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(place) in line]) == (0, [])


def test_systemd_calls_the_exposure_of_the_services_ok(place: Path) -> None:
    install(place, known(place, down=DOWN, snapshot={**SNAPSHOT, "notify": [{"mail": ["ops"]}]}))
    for path in place.glob("*.service"):
        # 49 stands for 4.9, the last that is OK.
        done = analysed("security", "--offline=true", "--threshold=49", "--no-pager", str(path))
        assert done.returncode == 0, done.stdout
        assert " OK " in done.stdout.splitlines()[-1]


def test_a_service_runs_the_job_as_a_person_would_and_writes_where_it_must_only(place: Path) -> None:
    action = {"do": "snapshot", "directory": str(place.parent / "50% off")}
    install(place, known(place, snapshot={**SNAPSHOT, "action": action}))
    text = (place / "scaler-job-prod_snapshot.service").read_text()
    (start,) = values(text, "ExecStart")
    assert start.endswith(f' job run snapshot --cluster "{place.parent}/inventory of prod" --scheduled')
    assert values(text, "User") == [getpass.getuser()]
    assert values(text, "Description") == ["every 6 h, 100%% of it"]
    assert values(text, "ReadWritePaths") == [
        f"{place.parent}/state",
        f"{place.parent}/cache",
        f'"{place.parent}/inventory of prod"',
        f"{place.parent}/metrics",
        f'"{place.parent}/50%% off"',
    ]
    assert f"SCALER_STATE_DIR={place.parent}/state" in values(text, "Environment")
    # What stops in order needs its time.
    assert values(text, "TimeoutStartSec") == [str(7200 + 900)]
    assert values(text, "KillMode") == ["mixed"]
    modes = {name: (place.parent / name).stat().st_mode & 0o777 for name in ("state", "cache", "50% off", "metrics")}
    assert modes == {"state": 0o700, "cache": 0o700, "50% off": 0o700, "metrics": 0o755}


def test_a_timer_catches_up_what_the_clock_skips_and_what_was_missed_or_does_not(place: Path) -> None:
    install(place, known(place, down=DOWN, snapshot=SNAPSHOT))
    down = (place / "scaler-job-prod_down.timer").read_text()
    assert values(down, "OnCalendar")[:2] == ["*-*-* 02:30:00 Europe/Berlin", "2026-03-29 03:00:00 Europe/Berlin"]
    assert (values(down, "Persistent"), values(down, "RandomizedDelaySec")) == (["yes"], ["0s"])
    snapshot = (place / "scaler-job-prod_snapshot.timer").read_text()
    assert values(snapshot, "OnCalendar") == ["*-*-* 00/6:15 UTC"]
    assert (values(snapshot, "Persistent"), values(snapshot, "RandomizedDelaySec")) == (["no"], ["600s"])


def test_credentials_are_handed_over_and_files_are_not_named(place: Path) -> None:
    hooks = [
        {"webhook": "feishu", "url": {"credential": "u", "file": "/etc/scaler/u"}, "secret": {"credential": "s"}},
        {"webhook": "slack", "url": {"file": "/etc/scaler/slack"}},
    ]
    install(place, known(place, down={**DOWN, "notify": hooks}))
    text = (place / "scaler-job-prod_down.service").read_text()
    assert values(text, "LoadCredential") == ["u:/etc/scaler/u", "s"]
    assert "slack" not in text


def test_installed_again_nothing_changes(place: Path) -> None:
    told = known(place, down=DOWN, snapshot=SNAPSHOT)
    assert {what for what, _ in install(place, told)} == {"write"}
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in place.iterdir()}
    Manager.calls.clear()
    assert {what for what, _ in install(place, told)} == {"keep"}
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in place.iterdir()} == before
    timers = ("scaler-job-prod_down.timer", "scaler-job-prod_snapshot.timer")
    assert Manager.calls == [("enable", "--now", *timers)]


def test_a_job_that_is_gone_or_off_loses_its_units_and_one_that_changed_counts_anew(place: Path) -> None:
    install(place, known(place, down=DOWN, snapshot=SNAPSHOT, up={**DOWN, "schedule": "0 6 * * *"}))
    Manager.calls.clear()
    told = install(place, known(place, down={**DOWN, "schedule": "0 3 * * *"}, up={**DOWN, "enabled": False}))
    assert ("change", "scaler-job-prod_down.timer") in told
    assert ("keep", "scaler-job-prod_down.service") in told
    assert {path.name for path in place.iterdir()} == {"scaler-job-prod_down.timer", "scaler-job-prod_down.service"}
    assert Manager.calls == [
        ("disable", "--now", "scaler-job-prod_snapshot.timer", "scaler-job-prod_up.timer"),
        ("daemon-reload",),
        ("enable", "--now", "scaler-job-prod_down.timer"),
        ("restart", "scaler-job-prod_down.timer"),
    ]


def test_a_job_that_is_gone_but_runs_keeps_its_service_until_its_end(place: Path) -> None:
    install(place, known(place, down=DOWN))
    Manager.running.add("scaler-job-prod_down.service")
    told = install(place, known(place))
    assert told == [("in-use", "scaler-job-prod_down.service"), ("remove", "scaler-job-prod_down.timer")]
    assert [path.name for path in place.iterdir()] == ["scaler-job-prod_down.service"]
    Manager.running.clear()
    assert install(place, known(place)) == [("remove", "scaler-job-prod_down.service")]
    assert list(place.iterdir()) == []


def test_what_install_did_not_write_is_left_alone(place: Path) -> None:
    install(place, known(place, "prod", down=DOWN))
    install(place, known(place, "prod.b", down=DOWN))
    (place / "scaler-job-prod_own.service").write_text("[Service]\nExecStart=true\n")
    mine = units.of("prod", place)
    assert [path.name for path in mine] == ["scaler-job-prod_down.service", "scaler-job-prod_down.timer"]
    job_install.take_out(job_install.removals(mine), Manager(user=False))
    assert {path.name for path in place.iterdir()} == {
        "scaler-job-prod.b_down.service",
        "scaler-job-prod.b_down.timer",
        "scaler-job-prod_own.service",
    }
    with pytest.raises(InputError, match="was not written by scaler"):
        install(place, known(place, own=DOWN))


def test_what_would_be_written_is_shown_line_by_line(place: Path) -> None:
    told = known(place, down=DOWN)
    doer = who("", own_manager=False)
    install(place, told)
    todo = job_install.changes(known(place, down={**DOWN, "missed": "skip"}), doer, place, NOW)
    (timer,) = [change for change in todo if change.what == "change"]
    assert "-Persistent=yes\n+Persistent=no\n" in timer.diff


def test_a_schedule_that_systemd_does_not_take_is_told_with_its_job(place: Path) -> None:
    with pytest.raises(InputError, match=r"jobs\.yaml: jobs\.down: schedule 'now and then': is not"):
        install(place, known(place, down={**DOWN, "schedule": "now and then"}))
    assert list(place.iterdir()) == []


def test_a_user_that_is_not_there_runs_nothing() -> None:
    with pytest.raises(InputError, match="there is no user nobody-of-that-name"):
        who("nobody-of-that-name", own_manager=False)


def test_a_crontab_has_a_line_for_each_job_and_says_what_cron_cannot_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "own_zone", lambda: "Etc/UTC")
    told = known(place, down={**DOWN, "time_zone": "UTC"}, off={**DOWN, "enabled": False})
    _, comment, line = job_install.crontab(told, who("", own_manager=False)).splitlines()
    assert comment == "# down (cron has no missed: catch-up)"
    assert line.startswith(f"30 2 * * * env SCALER_STATE_DIR={place.parent}/state SCALER_CACHE_DIR=")
    assert line.endswith(f" job run down --cluster '{place.parent}/inventory of prod' --scheduled")


def test_cron_is_not_told_what_it_would_do_at_another_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "own_zone", lambda: "Etc/UTC")
    doer = who("", own_manager=False)
    with pytest.raises(InputError, match="is of time zone Europe/Berlin, cron here runs by Etc/UTC"):
        job_install.crontab(known(place, down=DOWN), doer)
    with pytest.raises(InputError, match="is systemd's; a crontab takes five fields"):
        job_install.crontab(known(place, snapshot=SNAPSHOT), doer)


def test_a_drop_in_of_the_operator_s_is_read_for_all_jobs_and_left_as_it_is(place: Path) -> None:
    told = known(place, down=DOWN)
    drop_in = place / "scaler-job-.service.d" / "cloud.conf"
    own = place / "scaler-job-prod_down.service.d" / "own.conf"
    for path in (drop_in, own):
        path.parent.mkdir()
        path.write_text("[Service]\nEnvironmentFile=/etc/scaler/cloud.env\nNoSuchKey=1\n")
    assert [what for what, _ in install(place, told)] == ["write", "write"]
    unit = str(place / "scaler-job-prod_down.service")
    said = analysed("verify", "--man=no", "--recursive-errors=no", unit).stderr
    # That systemd complains of the key shows that it reads the file.
    assert all(f"{path}:3: Unknown key" in said for path in (drop_in, own)), said
    left = job_install.take_out(job_install.removals(units.of("prod", place)), Manager(False))
    assert (len(left), sorted(place.iterdir())) == (2, [drop_in.parent, own.parent])
