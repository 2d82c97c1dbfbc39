from __future__ import annotations

from scaler.plan.node_template import template
from tests.fakes.fleet import Fleet


def test_the_pools_own_word_tells_how_big_a_machine_is() -> None:
    made = template(Fleet().look(), "batch")
    assert made is not None
    assert made.capacity == made.allocatable == {"pods": "110", "cpu": "8", "memory": "32Gi"}
    assert made.labels["scaler.dev/pool"] == "batch"


def test_a_ready_node_tells_what_the_pool_does_not() -> None:
    made = template(Fleet().look(), "web")
    assert made is not None
    assert made.capacity == {"cpu": "4", "memory": "9Gi", "pods": "110"}
    assert made.allocatable == {"cpu": "4", "memory": "8Gi", "pods": "110"}
    assert (made.labels["disk"], [taint.told for taint in made.taints]) == ("ssd", ["dedicated=web:NoSchedule"])


def test_where_nothing_tells_there_is_no_template() -> None:
    assert template(Fleet(working=()).look(), "web") is None


def test_a_failure_domain_is_told_only_where_all_have_it() -> None:
    world = Fleet(batch=2).look()
    racks = {"batch-1": "rack-1", "batch-2": "rack-2"}

    def domains(of: dict[str, str]) -> object:
        standby = tuple(
            host.model_copy(update={"failure_domain": of.get(host.name, "rack-1")}) for host in world.cluster.standby
        )
        seen = world.model_copy(update={"cluster": world.cluster.model_copy(update={"standby": standby})})
        made = template(seen, "batch")
        return made and made.labels.get("topology.kubernetes.io/zone")

    assert domains(racks) is None
    assert domains({}) == "rack-1"
