from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from scaler.model.job_record import Ends, Health, Record, Totals
from scaler.plan.job_metrics import text

BEGAN = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)


def record(job: str, **told: Any) -> Record:
    base: dict[str, Any] = {"id": "1", "job": job, "cluster": "prod", "action": "scale", "began": BEGAN}
    return Record(**{**base, "ended": BEGAN + timedelta(seconds=90), "result": "done", **told})


def parsed(told: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(told):
        assert family.documentation
        assert family.type in {"gauge", "counter"}
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def test_every_job_has_its_figures_and_the_cluster_has_them_once() -> None:
    old = Health(api=True, nodes=9, ready=9, voters=3, healthy_voters=3, etcd_well=True)
    new = Health(
        api=True,
        nodes=4,
        ready=3,
        voters=3,
        healthy_voters=2,
        etcd_well=False,
        certificates=(Ends(host="m1", what='/etc/"odd"\\name', days=12.5), Ends(host="m1", what="ca", days=300)),
        problems=("one",),
    )
    told = parsed(
        text(
            "prod",
            {
                "up": record("up", health=old, last_success=BEGAN),
                "down": record(
                    "down",
                    ended=BEGAN + timedelta(hours=1),
                    result="failed",
                    exit_code=9,
                    health=new,
                    totals=Totals(runs=7, changes=12, failures=2),
                ),
            },
        )
    )
    up, down, prod = (
        (("cluster", "prod"), ("job", "up")),
        (("cluster", "prod"), ("job", "down")),
        (("cluster", "prod"),),
    )
    assert told["scaler_job_last_success_timestamp_seconds", up] == BEGAN.timestamp()
    assert ("scaler_job_last_success_timestamp_seconds", down) not in told
    assert told["scaler_job_last_duration_seconds", up] == 90
    assert told["scaler_job_last_exit_code", down] == 9
    assert told["scaler_job_failures_total", down] == 2
    assert told["scaler_job_changes_total", down] == 12
    assert told["scaler_job_runs_total", down] == 7
    assert told["scaler_job_last_result", (*down, ("result", "failed"))] == 1
    assert told["scaler_job_last_result", (*down, ("result", "done"))] == 0
    # As the newer of the two saw it.
    assert told["scaler_cluster_nodes_ready", prod] == 3
    assert told["scaler_cluster_etcd_healthy", prod] == 0
    assert told["scaler_cluster_etcd_voters_healthy", prod] == 2
    assert told["scaler_cluster_problems", prod] == 1
    odd = (("certificate", '/etc/"odd"\\name'), ("cluster", "prod"), ("host", "m1"))
    assert told["scaler_cluster_certificate_days_left", odd] == 12.5


def test_of_two_certificates_of_one_name_the_first_to_end_counts() -> None:
    health = Health(certificates=(Ends(host="m1", what="ca", days=300), Ends(host="m1", what="ca", days=3)))
    told = parsed(text("prod", {"a": record("a", health=health)}))
    assert [value for (name, _), value in told.items() if "certificate" in name] == [3]


def test_what_nobody_told_has_no_sample() -> None:
    told = parsed(text("prod", {"a": record("a", health=Health())}))
    assert not [name for name, _ in told if name in {"scaler_cluster_nodes", "scaler_cluster_etcd_healthy"}]
    assert told["scaler_cluster_api_up", (("cluster", "prod"),)] == 0


def test_no_job_has_run_and_the_text_is_one_all_the_same() -> None:
    assert parsed(text("prod", {})) == {}
