from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways.kube import KubeError
from scaler.steps.join_verified import STEP
from scaler.steps.verification_objects import verification_namespace
from tests.fakes.kube import all_well
from tests.fakes.world import RUN, Fakes, hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.fakes.kube import JsonObject

SPACE = verification_namespace(RUN)


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    made = Fakes(tmp_path, hosts("n1", "n2"))
    for name in ("m1", "old1", "old2", "old3", "n1", "n2"):
        made.kube.add_node(name, unschedulable=name in {"n1", "n2"})
    return made


def pods(fakes: Fakes) -> list[JsonObject]:
    return [told for told in fakes.kube.ever if told["kind"] == "Pod"]


def namespaces(fakes: Fakes) -> set[str]:
    return set(fakes.kube.of("Namespace")) - {"default", "kube-system"}


def without(check: str) -> Callable[[str, str], str]:
    """Answer a script as where ``check`` does not hold on n2."""

    def answer(node: str, script: str) -> str:
        told = all_well(node, script)
        return told.replace(f"{check}\t0\t", f"{check}\t1\tno bytes came") if node == "n2" else told

    return answer


def test_hosts_on_which_all_checks_hold_are_proven_and_nothing_stays(fakes: Fakes) -> None:
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert namespaces(fakes) == set()
    assert fakes.kube.of("Pod") == {}


def test_a_pod_runs_on_every_new_node_although_it_is_cordoned_and_on_three_old_ones(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    assert {pod["spec"]["nodeName"] for pod in pods(fakes)} == {"n1", "n2", "old1", "old2", "old3"}
    assert all(pod["spec"]["tolerations"] == [{"operator": "Exists"}] for pod in pods(fakes))
    assert {pod["metadata"]["namespace"] for pod in pods(fakes)} == {SPACE}


@pytest.mark.parametrize("check", ["exec-answers", "service-answers", "reaches-old-node"])
def test_a_check_that_does_not_hold_is_named_for_its_host_alone(fakes: Fakes, check: str) -> None:
    fakes.kube.pod_answers = without(check)
    assert STEP.apply(fakes.world, fakes.hosts) == {"n2": f"{check}: no bytes came"}
    assert namespaces(fakes) == set()


def test_a_check_without_a_result_has_failed(fakes: Fakes) -> None:
    fakes.kube.pod_answers = lambda node, script: "" if node == "n2" else all_well(node, script)
    failures = STEP.apply(fakes.world, fakes.hosts)
    assert set(failures) == {"n2"}
    for check in ("exec-answers", "service-answers", "reaches-old-node"):
        assert f"{check}: no result" in failures["n2"]


def test_the_way_from_an_old_node_is_a_check_of_the_new_one(fakes: Fakes) -> None:
    fakes.kube.pod_answers = lambda node, script: (
        all_well(node, script).replace("\t0\t", "\t1\tnothing came") if node == "old1" else all_well(node, script)
    )
    failures = STEP.apply(fakes.world, fakes.hosts)
    assert failures == dict.fromkeys(["n1", "n2"], "reached-from-old-node: nothing came")


def test_a_log_that_does_not_answer_is_named(fakes: Fakes) -> None:
    fakes.kube.pod_log = lambda node: "" if node == "n1" else "scaler-verify-runs\n"
    assert STEP.apply(fakes.world, fakes.hosts) == {"n1": "logs-answer: the pod's log is empty"}


def test_an_exec_that_kubectl_refuses_is_told_in_its_words(fakes: Fakes) -> None:
    def refused(node: str, script: str) -> str:
        if node == "n1":
            raise KubeError("error: unable to upgrade connection: Forbidden")
        return all_well(node, script)

    fakes.kube.pod_answers = refused
    failures = STEP.apply(fakes.world, fakes.hosts)
    assert set(failures) == {"n1"}
    assert "exec-answers: 'error: unable to upgrade connection: Forbidden'" in failures["n1"]


def test_a_pod_that_does_not_start_fails_its_host_with_the_last_event(fakes: Fakes) -> None:
    fakes.kube.pod_starts = lambda node: node != "n2"
    assert STEP.apply(fakes.world, fakes.hosts) == {"n2": "pod-starts: not after 60 s: Failed: no such image"}


def test_an_old_node_that_died_unnoticed_is_replaced_by_another(fakes: Fakes) -> None:
    fakes.kube.pod_starts = lambda node: node != "old1"
    asked: list[str] = []

    def answer(node: str, script: str) -> str:
        asked.append(node)
        return all_well(node, script)

    fakes.kube.pod_answers = answer
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert set(asked) == {"n1", "n2", "old2"}


def test_an_old_node_that_is_not_ready_is_not_asked(fakes: Fakes) -> None:
    fakes.kube.add_node("old1", ready=False)
    STEP.apply(fakes.world, fakes.hosts)
    assert "old1" not in {pod["spec"]["nodeName"] for pod in pods(fakes)}


def test_without_any_old_node_that_runs_pods_there_is_no_proof(fakes: Fakes) -> None:
    fakes.kube.pod_starts = lambda node: node in {"n1", "n2"}
    with pytest.raises(ScalerError, match=r"no pod starts on any old node.*old1: Failed: no such image"):
        STEP.apply(fakes.world, fakes.hosts)
    assert namespaces(fakes) == set()


def test_the_first_node_of_a_cluster_is_proven_without_an_old_one(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, hosts("n1"))
    fakes.kube.add_node("n1")
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert {pod["spec"]["nodeName"] for pod in pods(fakes)} == {"n1"}


def test_pods_that_a_new_namespace_refuses_for_a_moment_are_made_again(fakes: Fakes) -> None:
    refusals = ["no service account default"] * 3
    fakes.kube.refuse = lambda argv: refusals.pop() if list(argv[:2]) == ["apply", "Pod"] and refusals else None
    assert STEP.apply(fakes.world, fakes.hosts) == {}


def test_pods_that_are_always_refused_are_told_with_the_reason_and_the_namespace_is_deleted(fakes: Fakes) -> None:
    fakes.kube.refuse = lambda argv: "denied by policy" if list(argv[:2]) == ["apply", "Pod"] else None
    with pytest.raises(ScalerError, match=r"cannot be created: .*denied by policy"):
        STEP.apply(fakes.world, fakes.hosts)
    assert namespaces(fakes) == set()


def test_an_api_that_goes_away_in_the_middle_is_what_the_operator_hears(fakes: Fakes) -> None:
    def goes_away(argv: Sequence[str]) -> str | None:
        if list(argv[:2]) == ["get", "services"]:
            fakes.kube.down = "connection refused"
        return None

    fakes.kube.refuse = goes_away
    with pytest.raises(UnreachableError, match="connection refused"):
        STEP.apply(fakes.world, fakes.hosts)


def test_what_the_step_says_it_does_names_every_check(fakes: Fakes) -> None:
    (said,) = STEP.describe(fakes.world.plan, fakes.world.cluster.settings)
    for check in ("exec-answers", "service-answers", "reaches-old-node", "reached-from-old-node"):
        assert check in said
