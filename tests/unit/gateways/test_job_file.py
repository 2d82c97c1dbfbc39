from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import InputError
from scaler.gateways import job_file
from scaler.model.job_actions import Scale
from scaler.model.jobs import DAYS

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.model.jobs import Jobs

JOB = """\
jobs:
  down:
    schedule: "0 20 * * 1-5"
    action: {do: scale, workers: 2}
"""


def read(tmp_path: Path, text: str) -> Jobs:
    (tmp_path / "jobs.yaml").write_text(text, encoding="utf-8")
    return job_file.read(tmp_path, "prod")


def refused(tmp_path: Path, text: str) -> InputError:
    with pytest.raises(InputError) as told:
        read(tmp_path, text)
    return told.value


def test_a_job_has_what_the_file_says_and_defaults_for_the_rest(tmp_path: Path) -> None:
    found = read(tmp_path, "time_zone: Europe/Berlin\n" + JOB + "    window: {not_before: 20:00, not_after: 23:00}\n")
    (named,) = found.named()
    assert (named.name, named.time_zone, named.job.wait_lock, named.job.limit) == ("down", "Europe/Berlin", 600, 7200)
    assert named.job.action == Scale(do="scale", workers=2)
    assert named.job.window is not None
    assert (f"{named.job.window.not_before:%H:%M}", named.job.window.days) == ("20:00", DAYS)


def test_a_job_may_have_a_time_zone_and_listeners_of_its_own(tmp_path: Path) -> None:
    text = "notify: [{mail: [ops@example.org]}]\n" + JOB
    assert [target.told for target in read(tmp_path, text).named()[0].notify] == ["mail to ops@example.org"]
    own = read(tmp_path, text + "    notify: []\n    time_zone: Asia/Shanghai\n").named()[0]
    assert (own.notify, own.time_zone) == ((), "Asia/Shanghai")


@pytest.mark.parametrize(
    ("extra", "line", "told"),
    [
        ("    windw: {}\n", 5, "jobs.down.windw: there is no such key"),
        ("    guards:\n      max_change: lots\n", 6, "jobs.down.guards.max_change: Input should be a valid integer"),
        ("    limit: soon\n", 5, "jobs.down.limit: is not a duration: 90, 90s, 10m, 2h or 7d (given: 'soon')"),
        ("    time_zone: Berlin\n", 5, "jobs.down.time_zone: is not a time zone"),
        ("    window: {not_before: 25:00}\n", 5, "jobs.down.window.not_before: is not a time of day"),
        ("    window: {days: [mon, monday]}\n", 5, "jobs.down.window.days[1]: Input should be 'mon'"),
        ("    notify:\n      - webhook: slack\n        url: {file: url}\n", 7, "url.file: is not an absolute path"),
        ("    notify:\n      - {when: [failure]}\n", 6, "jobs.down.notify[0]: say webhook: FORMAT, or mail: [ADDRESS]"),
        ("    on_failure: {retry: 1, then: pray}\n", 5, "jobs.down.on_failure.then: Input should be 'leave'"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_path(tmp_path: Path, extra: str, line: int, told: str) -> None:
    message = refused(tmp_path, JOB + extra).message
    assert f"jobs.yaml:{line}: " in message
    assert told in message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (JOB + "    widow: {}\n", "did you mean window?"),
        (JOB.replace("workers", "worker"), "did you mean workers?"),
        (JOB.replace("do: scale, workers: 2", "do: snapshots"), "did you mean snapshot?"),
        (JOB.replace("jobs:", "job:", 1), "did you mean jobs?"),
        (JOB + "    qqqq: 1\n", "docs/reference/jobs.md explains every key"),
    ],
)
def test_a_typo_is_told_with_what_was_meant(tmp_path: Path, text: str, hint: str) -> None:
    assert refused(tmp_path, text).hint == hint


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("{do: scale}", "say workers: N, or pool: NAME and to: N"),
        ("{do: scale, pool: web}", "pool: NAME and to: N go together"),
        ("{do: scale, workers: 2, pool: web, to: 3}", "say workers: N, or pool: NAME and to: N"),
        ("{do: scale, workers: -1}", "greater than or equal to 0"),
        ("{do: add-node, hosts: []}", "at least 1 item"),
        ("{do: add-node, hosts: [N_1]}", "is not a host name"),
        ("{do: certs, workers: 3}", "jobs.down.action.workers: there is no such key"),
        ("{}", "jobs.down.action: Unable to extract tag"),
        ("status", "jobs.down.action"),
    ],
)
def test_an_action_that_says_too_little_or_too_much_is_refused(tmp_path: Path, action: str, told: str) -> None:
    assert told in refused(tmp_path, JOB.replace("{do: scale, workers: 2}", action)).message


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("    guards: {max_change: 3}\n", "changes no node"),
        ("    on_failure: {then: roll-back}\n", "changes nothing that could be rolled back"),
    ],
)
def test_what_makes_no_sense_for_an_action_is_refused(tmp_path: Path, extra: str, told: str) -> None:
    assert told in refused(tmp_path, JOB.replace("scale, workers: 2", "status") + extra).message


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    told = refused(tmp_path, JOB + "    notify: [{webhook: slack, url: https://hooks.example.org/T0/B0/xyz}]\n")
    assert "a secret does not stand in this file" in told.message
    assert "hooks.example.org" not in told.message + told.hint


def test_a_secret_that_is_written_beside_its_place_is_not_repeated(tmp_path: Path) -> None:
    hook = "    notify: [{webhook: feishu, url: {file: /u}, secret: {value: s3cr3t}}]\n"
    told = refused(tmp_path, JOB + hook)
    assert "s3cr3t" not in told.message + told.hint


def test_a_secret_for_who_cannot_sign_is_refused(tmp_path: Path) -> None:
    hook = "    notify: [{webhook: slack, url: {file: /u}, secret: {file: /s}}]\n"
    assert "slack has no signatures" in refused(tmp_path, JOB + hook).message


@pytest.mark.parametrize("name", ["Down", "-a", "a_b", "a" * 49, "a b"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    assert "is not a job's name" in refused(tmp_path, JOB.replace("down", f'"{name}"')).message


def test_the_jobs_of_another_cluster_are_refused(tmp_path: Path) -> None:
    assert "these are the jobs of test" in refused(tmp_path, "cluster: test\n" + JOB).message
    assert read(tmp_path, "cluster: prod\n" + JOB).cluster == "prod"


def test_broken_yaml_and_a_key_that_is_given_twice_are_told_with_their_line(tmp_path: Path) -> None:
    assert "jobs.yaml:3" in refused(tmp_path, "jobs:\n  a: [\n").message
    assert "jobs.yaml:5" in refused(tmp_path, JOB + "    schedule: daily\n").message


def test_a_file_that_is_not_there_is_told_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        job_file.read(tmp_path, "prod")
    assert "cluster prod has no jobs" in told.value.message
    assert "inventories/example/jobs.yaml" in told.value.hint


def test_a_file_that_is_no_map_is_refused(tmp_path: Path) -> None:
    assert "is not a map" in refused(tmp_path, "- a\n").message


def of_kind(tmp_path: Path, kind: str, action: str, *more: str) -> Jobs:
    lines = ["jobs:", "  down:", "    schedule: daily", f"    action: {{{action}}}", *(f"    {each}" for each in more)]
    (tmp_path / "jobs.yaml").write_text("\n".join(lines), encoding="utf-8")
    return job_file.read(tmp_path, "prod", kind)


POOL = "do: scale, pool: web, to: 3"


@pytest.mark.parametrize("kind", ["ack", "tke", "eks", "gke", "aks"])
@pytest.mark.parametrize(
    ("action", "more", "told"),
    [
        ("do: snapshot", "", "action snapshot is for binary clusters, and the cluster is of kind"),
        ("do: certs", "", "action certs is for binary clusters"),
        ("do: add-node, hosts: [n1]", "", "say scale with pool and to"),
        ("do: scale, workers: 3", "", "scale with workers is for binary clusters"),
        (f"{POOL}, partial: true", "", "partial takes from standby"),
        (POOL, "on_failure: {then: roll-back}", "on_failure: roll-back is for binary clusters"),
    ],
)
def test_a_job_that_can_never_work_on_a_managed_cluster_is_a_mistake(
    tmp_path: Path, kind: str, action: str, more: str, told: str
) -> None:
    with pytest.raises(InputError) as e:
        of_kind(tmp_path, kind, action, more)
    assert "jobs.yaml:2: jobs.down: " in e.value.message
    assert told in e.value.message
    assert of_kind(tmp_path, "binary", action, more).jobs


def test_what_is_for_clouds_is_a_mistake_on_a_binary_cluster(tmp_path: Path) -> None:
    action = f"{POOL}, autoscaler: keep, rollback: true"
    assert of_kind(tmp_path, "tke", action).jobs
    with pytest.raises(InputError, match="autoscaler and rollback: for pools of managed clusters"):
        of_kind(tmp_path, "binary", action)


@pytest.mark.parametrize("action", [POOL, "do: remove-node, hosts: [n1]", "do: status", "do: verify"])
@pytest.mark.parametrize("kind", ["binary", "eks"])
def test_what_both_kinds_can_do_is_none(tmp_path: Path, kind: str, action: str) -> None:
    assert of_kind(tmp_path, kind, action).jobs
