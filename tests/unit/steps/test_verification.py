"""A full proof on an API in memory: which objects it makes, whom it lets talk to whom, and what becomes of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler.checks import join
from scaler.checks.join import Facts
from scaler.errors import ScalerError
from scaler.gateways.kube import KubeError
from scaler.steps.proof_space import Space
from scaler.steps.verification import Verification
from tests.fakes.clock import FakeClock
from tests.fakes.kube import FakeKube, all_well

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.proof import Proof

SPACE = "scaler-verify-r"
QUICK = ("join", "volumes", "port-forward", "pod-life")


class Rig:
    def __init__(self, *names: str) -> None:
        self.clock = FakeClock()
        self.kube = FakeKube(self.clock)
        for name in names:
            self.kube.add_node(name)

    def proven(
        self,
        names: Sequence[str],
        peers: Sequence[str],
        *checks: str,
        facts: Facts | None = None,
        all_peers: bool = False,
    ) -> dict[str, Proof]:
        facts = facts or Facts(version="1.20.2", namespace=SPACE)
        chosen = join.chosen(checks or QUICK)
        where = Space(self.kube, self.clock, SPACE)
        verification = Verification(where, facts, chosen, image="busybox", seconds=180, all_peers=all_peers)
        verification.begin("")
        return {proof.node: proof for proof in verification.prove(names, peers, lambda _: None)}

    def pods(self) -> dict[str, str]:
        """Every pod that was ever made, and its node."""
        terms = "requiredDuringSchedulingIgnoredDuringExecution"
        made = [told for told in self.kube.ever if told["kind"] == "Pod"]
        affinity = {p["metadata"]["name"]: p["spec"]["affinity"]["nodeAffinity"][terms] for p in made}
        return {name: told["nodeSelectorTerms"][0]["matchFields"][0]["values"][0] for name, told in affinity.items()}


def failed(proof: Proof) -> dict[str, str]:
    return {each.check: each.reason for each in proof.failed}


def test_nodes_on_which_all_holds_are_proven_and_their_pods_lives_are_timed() -> None:
    rig = Rig("n1", "n2", "m1")
    told = rig.proven(["n1", "n2"], ["m1"])
    assert {name: failed(proof) for name, proof in told.items()} == {"n1": {}, "n2": {}}
    assert told["n1"].peers == ("m1",)
    assert {each.outcome for each in told["n1"].checks} == {"passed"}
    assert set(told["n1"].stages) >= {"stored", "scheduled", "ready", "deleted"}


def test_a_peer_gets_no_more_than_what_is_talked_to() -> None:
    rig = Rig("n1", "m1")
    rig.proven(["n1"], ["m1"], "join", "oom-kill", "host-reaches")
    on = {node: {name for name, where in rig.pods().items() if where == node} for node in ("n1", "m1")}
    assert on == {"n1": {"main-0", "host-0", "limits-0"}, "m1": {"main-1", "host-1"}}


def test_only_what_a_chosen_check_needs_is_made() -> None:
    rig = Rig("n1", "m1")
    rig.proven(["n1"], ["m1"], "join")
    assert {name.partition("-")[0] for name in rig.pods()} == {"main"}


def test_without_other_nodes_the_nodes_talk_to_each_other() -> None:
    told = Rig("n1", "n2", "n3").proven(["n1", "n2", "n3"], [])
    assert {name: proof.peers for name, proof in told.items()} == {"n1": ("n2",), "n2": ("n3",), "n3": ("n1",)}


def test_a_node_that_is_alone_is_told_so_by_what_needs_another() -> None:
    told = Rig("n1").proven(["n1"], [])["n1"]
    outcomes = {each.check: (each.outcome, each.reason) for each in told.checks}
    assert outcomes["reaches-old-node"] == ("not there", "no other Ready node to talk to")
    assert outcomes["reached-from-old-node"] == ("not there", "no other Ready node to talk to")
    assert outcomes["service-answers"] == ("passed", "")


def test_of_several_named_peers_one_that_fails_is_enough() -> None:
    rig = Rig("n1", "m1", "m2")
    rig.kube.pod_answers = lambda node, script: (
        all_well(node, script).replace("reached-from-old-node\t0\t", "reached-from-old-node\t1\tnothing came")
        if node == "m2"
        else all_well(node, script)
    )
    told = rig.proven(["n1"], ["m1", "m2"], "join", all_peers=True)["n1"]
    assert (told.peers, failed(told)) == (("m1", "m2"), {"reached-from-old-node": "nothing came"})


def test_a_check_that_does_not_hold_is_named_with_its_reason_for_its_node_alone() -> None:
    rig = Rig("n1", "n2", "m1")
    rig.kube.pod_answers = lambda node, script: (
        all_well(node, script).replace("volumes\t0\t", "volumes\t1\tthe emptyDir is wrong")
        if node == "n2"
        else all_well(node, script)
    )
    told = rig.proven(["n1", "n2"], ["m1"])
    assert (failed(told["n1"]), failed(told["n2"])) == ({}, {"volumes": "the emptyDir is wrong"})


def test_a_node_on_which_no_pod_runs_fails_with_the_last_event_and_nothing_else_is_tried() -> None:
    rig = Rig("n1", "n2", "m1")
    rig.kube.pod_starts = lambda node: node != "n2"
    told = rig.proven(["n1", "n2"], ["m1"])
    assert failed(told["n1"]) == {}
    reasons = failed(told["n2"])
    assert reasons.pop("pod-life") == "the pod does not run after 60 s: Failed: no such image"
    assert set(reasons.values()) == {"not tried: no pod runs"}


def test_where_the_life_of_a_pod_is_not_asked_about_another_check_tells_why_none_runs() -> None:
    rig = Rig("n1", "n2", "m1")
    rig.kube.pod_starts = lambda node: node != "n2"
    reasons = set(failed(rig.proven(["n1", "n2"], ["m1"], "join", "cgroup-limits")["n2"]).values())
    assert reasons == {"not tried: no pod runs", "the pod does not run after 60 s: Failed: no such image"}


def test_where_no_other_node_runs_a_pod_nothing_is_proven() -> None:
    rig = Rig("n1", "m1")
    rig.kube.pod_starts = lambda node: node == "n1"
    with pytest.raises(ScalerError, match=r"no pod starts on any other node.*m1: Failed: no such image"):
        rig.proven(["n1"], ["m1"])


def test_a_pod_in_which_nothing_can_be_run_is_told_in_kubectls_words() -> None:
    rig = Rig("n1", "m1")

    def refused(node: str, script: str) -> str:
        if node == "n1":
            raise KubeError("error: unable to upgrade connection: Forbidden")
        return all_well(node, script)

    rig.kube.pod_answers = refused
    reasons = failed(rig.proven(["n1"], ["m1"])["n1"])
    assert set(reasons) == {"exec-answers", "reaches-old-node", "service-answers", "volumes"}
    assert set(reasons.values()) == {"error: unable to upgrade connection: Forbidden"}


def test_a_pod_that_does_not_end_fails_the_life_of_its_node() -> None:
    rig = Rig("n1", "m1")
    rig.kube.pod_ends = lambda name: name != "main-0"
    assert "is still there after" in failed(rig.proven(["n1"], ["m1"])["n1"])["pod-life"]


def test_what_was_made_for_a_batch_goes_before_the_next_and_numbers_are_never_used_twice() -> None:
    rig = Rig("n1", "n2", "m1")
    where = Space(rig.kube, rig.clock, SPACE)
    verification = Verification(where, Facts(namespace=SPACE), join.chosen(QUICK), image="busybox", seconds=180)
    verification.begin("")
    verification.prove(["n1"], ["m1"], lambda _: None)
    verification.end(["n1"])
    assert not [name for name in (*rig.kube.of("Pod"), *rig.kube.of("Service")) if name.endswith("-0")]
    (told,) = verification.prove(["n2"], ["m1"], lambda _: None)
    assert (told.failed, "main-2" in rig.pods(), "on-1" in rig.kube.of("Service")) == ((), True, True)


def test_a_load_balancer_is_asked_for_only_where_there_is_one() -> None:
    rig = Rig("n1", "m1")
    told = rig.proven(["n1"], ["m1"], "load-balancer")["n1"]
    assert [(each.outcome, each.reason) for each in told.checks] == [
        ("not there", "no Service of this cluster has the address of a load balancer")
    ]
    assert "balanced" not in rig.kube.of("Service")
    rig = Rig("n1", "m1")
    facts = Facts(namespace=SPACE, balancer="front")
    told = rig.proven(["n1"], ["m1"], "load-balancer", facts=facts)["n1"]
    assert "balanced" in rig.kube.of("Service")
