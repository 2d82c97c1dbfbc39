from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.plan.plan import Drain
from scaler.steps.nodes_drained import STEP
from tests.fakes.leaving import leaving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.fakes.world import Fakes

ANY = Drain(timeout=30, force=True, delete_emptydir_data=True, ignore_daemonsets=True)


def drained(fakes: Fakes) -> dict[str, str]:
    for each in fakes.hosts:
        fakes.kube.of("Node")[each.name]["spec"]["unschedulable"] = True
    return STEP.apply(fakes.world, fakes.hosts)


def on(fakes: Fakes, node: str) -> set[str]:
    return {name for name, pod in fakes.kube.of("Pod").items() if pod["spec"]["nodeName"] == node}


def guarded(fakes: Fakes, least: int) -> None:
    budget = {"selector": {"matchLabels": {"app": "db"}}, "minAvailable": least}
    fakes.kube.add("PodDisruptionBudget", "db", "default", spec=budget)


def test_a_deployments_pods_start_anew_elsewhere(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add_pod("web-1", "n1", "ReplicaSet/web")
    fakes.kube.add_pod("web-2", "n2", "ReplicaSet/web")
    assert drained(fakes) == {}
    assert (on(fakes, "n1"), on(fakes, "n2")) == (set(), {"web-2", "web-1x"})


def test_daemonsets_static_and_finished_pods_are_left(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", drain=ANY)
    fakes.kube.add_pod("net", "n1", "DaemonSet/net")
    fakes.kube.add_pod("static-n1", "n1", "Node/n1", annotations={"kubernetes.io/config.mirror": "x"})
    fakes.kube.add_pod("job-1", "n1", "Job/job", phase="Succeeded")
    assert drained(fakes) == {}
    assert (fakes.kube.evicted, on(fakes, "n1")) == ([], {"net", "static-n1", "job-1"})


def test_a_statefulsets_pods_go_in_reverse_order(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    for number in (2, 10, 0):
        fakes.kube.add_pod(f"db-{number}", "n1", "StatefulSet/db")
    assert drained(fakes) == {}
    assert fakes.kube.evicted == ["db-10", "db-2", "db-0"]


def test_a_statefulsets_pod_is_waited_for_before_the_next_one_goes(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add("StatefulSet", "db", "default", spec={"replicas": 2})
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db")
    fakes.kube.add_pod("db-1", "n1", "StatefulSet/db")
    fakes.kube.pod_starts = lambda node: node == "n1"
    why = drained(fakes)["n1"]
    assert "default/db-1 is not Ready on another node yet" in why
    assert fakes.kube.evicted == ["db-1"]


def test_a_statefulsets_pods_go_in_reverse_order_over_all_nodes_that_are_emptied_at_once(tmp_path: Path) -> None:
    # All threads move the one clock, however seldom each has its turn.
    fakes = leaving(tmp_path, "n1", "n2", drain=Drain(timeout=1_000_000))
    for number, node in enumerate(("n2", "n1", "n2", "n1")):
        fakes.kube.add_pod(f"db-{number}", node, "StatefulSet/db")
    assert drained(fakes) == {}
    assert fakes.kube.evicted == ["db-3", "db-2", "db-1", "db-0"]


def test_the_time_in_which_another_nodes_pod_goes_first_is_not_a_nodes_own(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2", drain=Drain(timeout=30))
    fakes.kube.add("StatefulSet", "db", "default", spec={"replicas": 2})
    fakes.kube.add_pod("db-1", "n1", "StatefulSet/db", labels={"app": "db"})
    fakes.kube.add_pod("db-0", "n2", "StatefulSet/db")
    budget = {"selector": {"matchLabels": {"app": "db"}}, "minAvailable": 1}
    fakes.kube.add("PodDisruptionBudget", "db", "default", spec=budget)
    failed = drained(fakes)
    assert failed.keys() == {"n1"}
    assert "does not let default/db-1 go" in failed["n1"]
    assert fakes.kube.evicted == ["db-0"]


def test_a_statefulsets_pod_that_ends_already_is_waited_for_too(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add("StatefulSet", "db", "default", spec={"replicas": 2})
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db")
    fakes.kube.add_pod("db-1", "n1", "StatefulSet/db")
    fakes.kube.objects["Pod", "default", "db-1"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert "still ending: default/db-1" in drained(fakes)["n1"]
    assert fakes.kube.evicted == []


def test_a_statefulsets_pod_that_is_not_wanted_any_more_is_not_waited_for(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add("StatefulSet", "db", "default", spec={"replicas": 1})
    fakes.kube.add_pod("db-1", "n1", "StatefulSet/db")

    def scaled_down() -> None:
        pod = fakes.kube.objects.get(("Pod", "default", "db-1"))
        if pod and pod["spec"]["nodeName"] != "n1":
            del fakes.kube.objects["Pod", "default", "db-1"]

    fakes.kube.before_get.append(scaled_down)
    assert drained(fakes) == {}


def test_a_budget_that_allows_nothing_is_named_with_its_pod_when_the_time_is_up(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db", labels={"app": "db"})
    guarded(fakes, 1)
    assert drained(fakes)["n1"] == (
        "not drained after 30 s: PodDisruptionBudget default/db (1 healthy, 1 wanted) does not let default/db-0 go"
    )
    assert (fakes.kube.evicted, on(fakes, "n1")) == ([], {"db-0"})
    assert fakes.clock.monotonic() >= 30


def test_a_budget_that_comes_to_allow_it_is_asked_again(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db", labels={"app": "db"})
    guarded(fakes, 1)

    def more() -> None:
        if fakes.clock.monotonic() >= 10 and ("Pod", "default", "db-9") not in fakes.kube.objects:
            fakes.kube.add_pod("db-9", "w1", "StatefulSet/db", labels={"app": "db"})

    fakes.kube.before_get.append(more)
    assert drained(fakes) == {}
    assert fakes.kube.evicted == ["db-0"]


def test_the_other_node_is_drained_though_one_is_not(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db", labels={"app": "db"})
    fakes.kube.add_pod("web-1", "n2", "ReplicaSet/web")
    guarded(fakes, 1)
    assert drained(fakes).keys() == {"n1"}
    assert on(fakes, "n2") == set()


def test_a_pod_that_does_not_end_is_named(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add_pod("web-1", "n1", "ReplicaSet/web")
    fakes.kube.pod_ends = lambda _: False
    assert drained(fakes)["n1"].endswith("still ending: default/web-1")
    assert fakes.kube.evicted == ["web-1"]


@pytest.mark.parametrize(
    ("owner", "more", "option"),
    [
        ("", {}, "--force"),
        ("DaemonSet/net", {}, "--ignore-daemonsets"),
        ("ReplicaSet/web", {"volumes": [{"name": "cache", "emptyDir": {}}]}, "--delete-emptydir-data"),
    ],
)
def test_a_pod_that_came_after_the_plan_needs_its_option_too(
    tmp_path: Path, owner: str, more: dict[str, object], option: str
) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add_pod("x", "n1", owner, **more)
    why = drained(fakes)["n1"]
    assert "default/x" in why
    assert option in why
    assert fakes.kube.evicted == []


def test_with_the_options_bare_pods_and_local_data_go(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", drain=ANY)
    fakes.kube.add_pod("bare", "n1")
    fakes.kube.add_pod("web-1", "n1", "ReplicaSet/web", volumes=[{"name": "cache", "emptyDir": {}}])
    assert drained(fakes) == {}
    assert on(fakes, "n1") == set()


def attached(fakes: Fakes, name: str, claim: str) -> None:
    reference = {"namespace": "default", "name": claim}
    fakes.kube.add("PersistentVolume", name, spec={"claimRef": reference})
    source = {"persistentVolumeName": name}
    fakes.kube.add("VolumeAttachment", f"va-{name}", spec={"nodeName": "n1", "source": source})


def test_volumes_that_stay_attached_are_named(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    attached(fakes, "pv-1", "data")
    assert drained(fakes)["n1"] == "not drained after 30 s: volumes are still attached: pv-1"


def test_volumes_are_waited_for(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    attached(fakes, "pv-1", "data")

    def detach() -> None:
        if fakes.clock.monotonic() >= 10:
            fakes.kube.objects.pop(("VolumeAttachment", "", "va-pv-1"), None)

    fakes.kube.before_get.append(detach)
    assert drained(fakes) == {}
    assert fakes.clock.monotonic() >= 10


def test_a_daemonsets_volume_is_not_waited_for(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", drain=ANY)
    attached(fakes, "pv-1", "data")
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    fakes.kube.add_pod("net", "n1", "DaemonSet/net", volumes=[volume])
    assert drained(fakes) == {}


def test_an_api_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.kube.add_pod("web-1", "n1", "ReplicaSet/web")

    def away(_: str) -> str:
        return "no route to host" if 0 < fakes.clock.monotonic() < 10 else ""

    fakes.kube.unreached = away
    fakes.kube.pod_ends = lambda _: False
    fakes.kube.before_get.append(lambda: end(fakes, "web-1") if fakes.clock.monotonic() > 10 else None)
    assert drained(fakes) == {}


def end(fakes: Fakes, name: str) -> None:
    fakes.kube.objects.pop(("Pod", "default", name), None)


def test_a_dead_nodes_pods_start_elsewhere_at_once(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", dead=("n1",))
    fakes.kube.of("Node")["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db", labels={"app": "db"})
    fakes.kube.add_pod("net", "n1", "DaemonSet/net")
    guarded(fakes, 1)
    assert drained(fakes) == {}
    assert (fakes.kube.evicted, on(fakes, "n1")) == ([], set())
    assert "db-0" in on(fakes, "n2") | on(fakes, "w1")


def test_a_dead_node_that_reports_again_is_left_alone(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", dead=("n1",))
    fakes.kube.add_pod("db-0", "n1", "StatefulSet/db")
    assert "reports again" in drained(fakes)["n1"]
    assert on(fakes, "n1") == {"db-0"}


def test_the_plan_tells_what_becomes_of_each_pod(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    lines: Sequence[str] = STEP.describe(fakes.world.plan, fakes.world.cluster.settings)
    assert "30 s" in lines[0]
