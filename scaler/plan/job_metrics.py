"""What node_exporter's textfile collector is to read: one text for all jobs of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from scaler.model.job_record import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scaler.model.job_record import Health, Record


class Family(NamedTuple):
    """One metric: its name, type and help."""

    name: str
    kind: str
    help: str


_SUCCESS = Family("scaler_job_last_success_timestamp_seconds", "gauge", "When the job last ended well, in Unix time.")
_LAST = Family("scaler_job_last_run_timestamp_seconds", "gauge", "When the job last began, in Unix time.")
_DURATION = Family("scaler_job_last_duration_seconds", "gauge", "How long its last run took.")
_RESULT = Family("scaler_job_last_result", "gauge", "1 for the result of its last run, 0 for all others.")
_EXIT = Family("scaler_job_last_exit_code", "gauge", "The exit code of its last run.")
_RUNS = Family("scaler_job_runs_total", "counter", "How often it ran.")
_CHANGES = Family("scaler_job_changes_total", "counter", "How many nodes it has added and removed.")
_FAILURES = Family("scaler_job_failures_total", "counter", "How often it did not end well.")
_API = Family("scaler_cluster_api_up", "gauge", "1 where the API answered.")
_SEEN = Family("scaler_cluster_seen_timestamp_seconds", "gauge", "When a job last looked at the cluster, in Unix time.")
_NODES = Family("scaler_cluster_nodes", "gauge", "Nodes of the cluster.")
_READY = Family("scaler_cluster_nodes_ready", "gauge", "Nodes that are Ready.")
_ETCD = Family("scaler_cluster_etcd_healthy", "gauge", "1 where all voters of etcd are healthy and one leads.")
_VOTERS = Family("scaler_cluster_etcd_voters", "gauge", "Voters of etcd.")
_WELL = Family("scaler_cluster_etcd_voters_healthy", "gauge", "Voters of etcd that are healthy.")
_PROBLEMS = Family("scaler_cluster_problems", "gauge", "Problems that scaler status tells, warnings aside.")
_DAYS = Family("scaler_cluster_certificate_days_left", "gauge", "Days until a certificate ends.")

Sample = tuple[Family, dict[str, str], float]


def text(cluster: str, last: Mapping[str, Record]) -> str:
    """Return the text for the last record of each job; the cluster is told as the newest of them saw it."""
    samples: dict[Family, list[tuple[dict[str, str], float]]] = {}
    for name, record in sorted(last.items()):
        for family, labels, value in _of_job(record, {"cluster": cluster, "job": name}):
            samples.setdefault(family, []).append((labels, value))
    seen = [record for record in last.values() if record.health is not None and record.ended]
    if seen:
        newest = max(seen, key=lambda record: record.ended or record.began)
        for family, labels, value in _of_cluster(newest, {"cluster": cluster}):
            samples.setdefault(family, []).append((labels, value))
    lines = []
    for family, values in samples.items():
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{{{_labels(labels)}}} {value:.15g}" for labels, value in values]
    return "\n".join([*lines, ""])


def _of_job(record: Record, job: dict[str, str]) -> Iterator[Sample]:
    if record.last_success:
        yield _SUCCESS, job, record.last_success.timestamp()
    yield _LAST, job, record.began.timestamp()
    yield _DURATION, job, round(record.seconds, 3)
    for result in get_args(Result):
        yield _RESULT, {**job, "result": result}, float(record.result == result)
    yield _EXIT, job, record.exit_code
    yield _RUNS, job, record.totals.runs
    yield _CHANGES, job, record.totals.changes
    yield _FAILURES, job, record.totals.failures


def _of_cluster(record: Record, cluster: dict[str, str]) -> Iterator[Sample]:
    health: Health | None = record.health
    if health is None or record.ended is None:
        return
    yield _SEEN, cluster, record.ended.timestamp()
    yield _API, cluster, float(health.api)
    yield _PROBLEMS, cluster, len(health.problems)
    known = (
        (_NODES, health.nodes),
        (_READY, health.ready),
        (_ETCD, health.etcd_well),
        (_VOTERS, health.voters),
        (_WELL, health.healthy_voters),
    )
    for family, value in known:
        if value is not None:
            yield family, cluster, float(value)
    days: dict[tuple[str, str], float] = {}
    for each in health.certificates:
        # Two of one name are an old one and a new one of the same file.
        place = (each.host, each.what)
        days[place] = min(each.days, days.get(place, each.days))
    for (host, what), left in days.items():
        yield _DAYS, {**cluster, "host": host, "certificate": what}, left


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
