"""scaler verify as a use case: which nodes, what is deleted however it ends, and what it ends with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from typer.testing import CliRunner

from scaler.app import networks
from scaler.app import session as sessions
from scaler.app import verify as use_case
from scaler.app.verify import Holder, Wanted
from scaler.cli.main import app
from scaler.errors import InputError, ScalerError, UnreachableError
from scaler.gateways.kube import KubeError, nodes
from scaler.model.network import Network
from scaler.model.proof import Proof, Result
from scaler.steps.verification_objects import HOLDER_ANNOTATION
from scaler.ui import verify_view
from tests.fakes.kube import all_well
from tests.fakes.session import FakeSession, Opened, session
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typer.testing import Result as Invoked


JOIN = ("join", "pod-life")


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = session(tmp_path, (), workers=(host("w1", 2), host("w2", 3)))
    made.fakes.kube.add_node("w2", address="10.0.0.3", cidr="10.244.9.0/24")
    for node in ("m1", "w1"):
        made.fakes.kube.of("Node")[node]["spec"]["podCIDR"] = "10.244.9.0/24"

    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_any", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "any_opened", lambda _: Opened(made))
    return made


def verified(live: FakeSession, *names: str, checks: Sequence[str] = JOIN, **more: Any) -> use_case.Verified:
    return use_case.verify(live, Wanted(names, checks, **more), lambda _: None)


def namespaces(live: FakeSession) -> set[str]:
    return set(live.fakes.kube.of("Namespace")) - {"default", "kube-system"}


def invoked(*argv: str) -> Invoked:
    return CliRunner().invoke(app, ["verify", *argv, "--cluster", "prod"])


def test_without_a_name_all_workers_are_proven_with_a_master_and_nothing_stays(live: FakeSession) -> None:
    done = verified(live)
    assert [(proof.node, proof.peers, proof.failed) for proof in done.proofs] == [
        ("w1", ("m1",), ()),
        ("w2", ("m1",), ()),
    ]
    assert (use_case.error(done), done.left, namespaces(live)) == (None, "", set())


def test_a_worker_that_is_not_asked_about_is_a_better_peer_than_a_master(live: FakeSession) -> None:
    assert verified(live, "w1").proofs[0].peers == ("w2",)
    assert verified(live, "w1", peers=["m1"]).proofs[0].peers == ("m1",)


def test_names_and_peers_that_are_no_ready_nodes_are_refused(live: FakeSession) -> None:
    with pytest.raises(InputError, match="there is no Node w9"):
        verified(live, "w9")
    live.fakes.kube.add_node("w2", ready=False)
    with pytest.raises(InputError, match="w2 is not Ready"):
        verified(live, "w1", peers=["w2"])
    with pytest.raises(InputError, match="no check is left"):
        verified(live, "w1", checks=["volumes"], skip=["pod"])
    assert namespaces(live) == set()


def test_a_node_that_is_not_ready_has_failed_and_the_others_are_proven(live: FakeSession) -> None:
    live.fakes.kube.add_node("w1", ready=False, why="runtime is down")
    done = verified(live)
    assert [(proof.node, bool(proof.failed)) for proof in done.proofs] == [("w1", True), ("w2", False)]
    told = use_case.error(done)
    assert told is not None
    assert told.exit_code == 4
    assert "w1: exec-answers: the Node is not Ready: runtime is down" in told.message


def test_many_nodes_are_proven_batch_after_batch(live: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "BATCH", 1)
    done = verified(live)
    assert {proof.node: proof.failed for proof in done.proofs} == {"w1": (), "w2": ()}
    assert namespaces(live) == set()


def test_whatever_ends_it_the_namespace_goes(live: FakeSession) -> None:
    live.fakes.kube.refuse = lambda argv: "denied" if list(argv[:2]) == ["apply", "Pod"] else None
    with pytest.raises(ScalerError, match="cannot be created"):
        verified(live)
    assert namespaces(live) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_namespace_goes_and_a_second_one_does_not_keep_it(
    live: FakeSession, number: signal.Signals
) -> None:
    sent: list[str] = []

    def interrupt(argv: Sequence[str]) -> None:
        if list(argv[:2]) == ["apply", "Pod"] or (sent and "delete" in argv[0]):
            sent.append(argv[0])
            os.kill(os.getpid(), number)

    live.fakes.kube.refuse = interrupt
    with pytest.raises(KeyboardInterrupt):
        verified(live)
    assert sent[:2] == ["apply", "delete"]
    assert namespaces(live) == set()


def test_what_cannot_be_deleted_is_told_and_is_no_success(live: FakeSession) -> None:
    def goes_away(argv: Sequence[str]) -> str | None:
        return "not now" if list(argv[:2]) == ["delete", "namespaces"] else None

    live.fakes.kube.refuse = goes_away
    done = verified(live)
    assert "not now" in done.left
    told = use_case.error(done)
    assert told is not None
    assert "is still there" in told.message


def left(live: FakeSession, name: str, **changes: Any) -> None:
    """Let there be the namespace of another proof."""
    until = live.clock.now() + timedelta(minutes=5)
    holder = Holder(**{"host": socket.gethostname(), "pid": os.getpid(), "until": until, **changes})
    live.fakes.kube.add("Namespace", name)
    metadata = live.fakes.kube.of("Namespace")[name]["metadata"]
    metadata.update(labels={"app": "scaler-verify"}, annotations={HOLDER_ANNOTATION: holder.model_dump_json()})


def test_what_a_killed_proof_left_is_deleted_and_one_that_is_at_work_is_not(live: FakeSession) -> None:
    with subprocess.Popen(["true"]) as ended:
        dead = ended.pid
    now = live.clock.now()
    left(live, "scaler-verify-killed", pid=dead)
    left(live, "scaler-verify-at-work")
    left(live, "scaler-verify-elsewhere", host="other", pid=dead)
    left(live, "scaler-verify-over", host="other", pid=dead, until=now - timedelta(seconds=1))
    verified(live)
    assert namespaces(live) == {"scaler-verify-at-work", "scaler-verify-elsewhere"}


def test_the_namespace_of_a_join_is_left_to_its_run_for_long(live: FakeSession) -> None:
    for name, hours in (("scaler-verify-join", 1), ("scaler-verify-old", 3)):
        live.fakes.kube.add("Namespace", name)
        then = (live.clock.now() - timedelta(hours=hours)).isoformat()
        live.fakes.kube.of("Namespace")[name]["metadata"].update(
            labels={"app": "scaler-verify"}, creationTimestamp=then
        )
    verified(live)
    assert namespaces(live) == {"scaler-verify-join"}


def test_the_namespace_tells_who_works_in_it(live: FakeSession) -> None:
    verified(live)
    (space,) = [
        told
        for told in live.fakes.kube.ever
        if told["kind"] == "Namespace" and told["metadata"]["name"].startswith("scaler-verify")
    ]
    holder = Holder.model_validate_json(space["metadata"]["annotations"][HOLDER_ANNOTATION])
    assert (holder.pid, holder.until > live.clock.now()) == (os.getpid(), True)


def test_an_api_that_does_not_answer_is_what_the_operator_hears(live: FakeSession) -> None:
    live.fakes.kube.down = "connection refused"
    with pytest.raises(UnreachableError, match="connection refused"):
        verified(live)


def test_what_the_cluster_has_is_read_from_its_api(live: FakeSession) -> None:
    kube = live.fakes.kube
    facts = use_case._facts(live, "ns", {}, [])
    assert (facts.version, facts.dns, facts.storage_class, facts.policy_engine, facts.balancer) == ("1.20.2", *[""] * 4)
    kube.add("Service", "kube-dns", "kube-system", spec={"clusterIP": "10.96.0.10"})
    kube.add("Service", "front", "web", spec={"type": "LoadBalancer"})
    kube.add("DaemonSet", "calico-node", "kube-system")
    kube.add("StorageClass", "slow")
    kube.add("StorageClass", "fast")
    is_default = {"storageclass.kubernetes.io/is-default-class": "true"}
    kube.of("StorageClass")["fast"]["metadata"]["annotations"] = is_default
    kube.of("Node")["w2"]["status"]["runtimeHandlers"] = [
        {"name": "kata", "features": {}},
        {"name": "", "features": {"userNamespaces": True}},
    ]
    facts = use_case._facts(live, "ns", {}, ["example.org"])
    # A Service that waits for its load balancer is none.
    assert (facts.dns, facts.storage_class, facts.policy_engine, facts.balancer) == (
        "kube-dns",
        "fast",
        "calico-node",
        "",
    )
    assert (facts.user_namespaces, facts.outside) == (frozenset({"w2"}), ("example.org",))
    kube.of("Service")["front"]["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    assert use_case._facts(live, "ns", {}, []).balancer == "front"


def test_a_pods_address_is_its_nodes_or_out_of_the_networks_own_pools(
    live: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {node.name: node for node in nodes(cast("Any", live.fakes.kube))}
    own = use_case._facts(live, "ns", there, []).pod_networks
    assert own == {name: (node.spec.pod_cidr,) for name, node in there.items()}
    calico = live.cluster.settings.model_copy(update={"cni": "calico"})
    live.cluster = live.cluster.model_copy(update={"settings": calico})
    monkeypatch.setattr(networks, "network", lambda _: Network(cidrs=("10.8.0.0/16",)))
    assert use_case._facts(live, "ns", there, []).pod_networks == dict.fromkeys(there, ("10.8.0.0/16",))


@pytest.mark.usefixtures("live")
def test_the_envelope_has_every_check_of_every_node() -> None:
    done = invoked("--checks", "join,pod-life", "--output", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"], told["data"]["passed"]) == (0, True, ["w1", "w2"])
    first = told["data"]["nodes"][0]
    assert set(first) == {"node", "peers", "seconds", "stages", "checks"}
    assert {each["check"] for each in first["checks"]} == {
        "exec-answers",
        "logs-answer",
        "pod-life",
        "reached-from-old-node",
        "reaches-old-node",
        "service-answers",
    }
    assert set(first["checks"][0]) == {"check", "group", "outcome", "reason", "seconds"}


def test_a_failure_ends_with_4_and_its_reason(live: FakeSession) -> None:
    live.fakes.kube.pod_answers = lambda node, script: (
        all_well(node, script).replace("service-answers\t0\t", "service-answers\t1\tno bytes came")
        if node == "w2"
        else all_well(node, script)
    )
    done = invoked("--checks", "join", "--output", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["data"]["failed"]) == (4, ["w2"])
    assert "w2: service-answers: no bytes came" in told["error"]["message"]


def test_an_unknown_check_ends_with_3_before_anything_is_made(live: FakeSession) -> None:
    done = invoked("--checks", "full-moon", "--output", "json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["kind"]) == (3, "input")
    assert not [told for told in live.fakes.kube.ever if told["kind"] == "Pod"]


def test_people_see_what_holds_what_does_not_and_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    results = (
        Result(check="volumes", group="pod", outcome="passed", seconds=0.2),
        Result(check="full-mtu", group="network", outcome="failed", reason="a packet was lost", seconds=5.1),
        Result(check="dns-service", group="dns", outcome="not there", reason="no Service of DNS in this cluster"),
    )
    proof = Proof(node="n1", peers=("m1",), seconds=41, stages={"stored": 0.1, "ready": 2.5}, checks=results)
    verify_view.show(use_case.Verified("r", "busybox", proofs=[proof]))
    told = capsys.readouterr().out
    assert "n1: 1 passed, 1 failed, 1 not there (41 s, with m1)" in told
    assert "stored 0.1 s, ready 2.5 s" in told
    assert "✗ full-mtu" in told
    assert "a packet was lost" in told
    assert "not there: no Service of DNS in this cluster" in told


def test_a_pod_in_which_kubectl_may_not_run_anything_fails_the_node_and_not_the_command(live: FakeSession) -> None:
    def refused(node: str, script: str) -> str:
        if node == "w1":
            raise KubeError("Forbidden")
        return all_well(node, script)

    live.fakes.kube.pod_answers = refused
    done = verified(live)
    assert [proof.node for proof in done.failed] == ["w1"]
