from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import UnreachableError
from scaler.gateways.ssh import HostKeyError, Said
from scaler.steps.kubelet_joined import JOIN_SECONDS, STEP
from tests.fakes.kubelets import FakeKubelets, client_spec, serving_spec
from tests.fakes.world import Fakes, hosts

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = {"n1": "aaaaa1", "n2": "aaaaa2"}


class Joining(Fakes):
    """Two nodes that are registered, with kubelets that have a token each and run."""

    def __init__(self, directory: Path) -> None:
        # Here time passes for each thread that sleeps.
        super().__init__(directory, hosts("n1", "n2"), reconnect_seconds=45)
        self.kubelets = FakeKubelets(self.kube, self.ssh, self.playbooks, self.hosts)
        for each in self.hosts:
            self.kube.add_node(each.name, ready=False, why="its kubelet has not reported yet")
            self.world.tokens[each.name] = TOKENS[each.name]
            self.kube.create([self._token(TOKENS[each.name])])

    def start(self) -> None:
        for each in self.hosts:
            self.kubelets.start(each.name, TOKENS[each.name])

    @staticmethod
    def _token(identity: str) -> dict[str, Any]:
        data = {"token-id": identity, "token-secret": "b" * 16}
        meta = {"name": f"bootstrap-token-{identity}", "namespace": "kube-system"}
        return {"kind": "Secret", "type": "bootstrap.kubernetes.io/token", "metadata": meta, "stringData": data}


@pytest.fixture
def joining(tmp_path: Path) -> Joining:
    return Joining(tmp_path)


def test_every_kubelet_joins_by_its_two_requests_and_its_token_is_deleted(joining: Joining) -> None:
    joining.start()
    assert STEP.apply(joining.world, joining.hosts) == {}
    assert joining.kube.approved() == {"csr-n1-client", "csr-n1-serving", "csr-n2-client", "csr-n2-serving"}
    assert joining.kube.of("Secret") == {}


@pytest.mark.parametrize(
    "foreign",
    [
        client_spec("n9", "zzzzz9"),
        client_spec("n9", "aaaaa1"),
        client_spec("n1", "zzzzz9"),
        client_spec("n1", "aaaaa2"),
        {**client_spec("n1", "aaaaa1"), "groups": ["system:bootstrappers"]},
        {**client_spec("n1", "aaaaa1"), "signerName": "kubernetes.io/kube-apiserver-client"},
        serving_spec("n9", "10.0.0.99"),
        serving_spec("n1", "10.0.0.99"),
        {**serving_spec("n1", "10.0.0.11"), "username": "system:node:n9"},
        {"request": "bm90IGEgcmVxdWVzdA==", "username": "system:bootstrap:aaaaa1"},
    ],
)
def test_a_foreign_request_that_is_pending_meanwhile_is_untouched(joining: Joining, foreign: dict[str, Any]) -> None:
    joining.kube.submit("foreign", **foreign)
    before = joining.kube.of("CertificateSigningRequest")["foreign"]["spec"]
    joining.start()
    assert STEP.apply(joining.world, joining.hosts) == {}
    assert "foreign" not in joining.kube.approved()
    assert joining.kube.of("CertificateSigningRequest")["foreign"]["spec"] == before


def test_a_client_request_that_is_not_exactly_its_own_times_out_with_the_reason(joining: Joining) -> None:
    joining.kubelets.client = lambda name, token: {**client_spec(name, token), "usages": ["server auth"]}
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts)
    assert set(failures) == {"n1", "n2"}
    assert "no client certificate" in failures["n1"]
    assert "its request csr-n1-client is not approved: its usages are server auth" in failures["n1"]
    assert joining.kube.approved() == set()


def test_a_serving_request_that_is_not_exactly_its_own_times_out_with_the_reason(joining: Joining) -> None:
    joining.kubelets.serving = lambda name, _: serving_spec(name, "10.0.0.250")
    joining.kubelets.why = ""
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts[:1])
    assert "10.0.0.250" in failures["n1"]
    assert "csr-n1-serving" not in joining.kube.approved()


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({"type": "Approved", "status": "True"}, "has no certificate, its state is Approved"),
        ({"type": "Denied", "message": "by hand"}, "has no certificate, its state is Denied: by hand"),
        ({"type": "Failed", "message": "no signer"}, "has no certificate, its state is Failed: no signer"),
    ],
)
def test_a_request_that_somebody_decided_and_nobody_signed_times_out_with_its_state(
    joining: Joining, condition: dict[str, str], told: str
) -> None:
    joining.kube.signs = False
    joining.start()
    joining.kube.of("CertificateSigningRequest")["csr-n1-client"]["status"]["conditions"] = [condition]
    failures = STEP.apply(joining.world, joining.hosts[:1])
    assert f"it got no client certificate in 60 s: its request csr-n1-client {told}" in failures["n1"]


def test_an_approved_request_that_no_controller_signs_times_out_with_its_state(joining: Joining) -> None:
    joining.kube.signs = False
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts)
    assert joining.kube.approved() == {"csr-n1-client", "csr-n2-client"}
    assert "its request csr-n2-client has no certificate, its state is Approved" in failures["n2"]


def test_a_kubelet_that_never_asks_fails_before_the_deadline_with_its_log(joining: Joining) -> None:
    joining.ssh.machines["n1"].log = "kubelet: cannot parse its config"
    failures = STEP.apply(joining.world, joining.hosts)
    assert "no client certificate" in failures["n1"]
    assert failures["n1"].endswith("last lines of kubelet.service on n1:\nkubelet: cannot parse its config")
    assert joining.clock.monotonic() < JOIN_SECONDS


def test_one_that_fails_does_not_keep_the_other_out(joining: Joining) -> None:
    joining.kubelets.start("n2", TOKENS["n2"])
    assert set(STEP.apply(joining.world, joining.hosts)) == {"n1"}
    assert joining.kube.of("Secret") == {}


def test_a_node_that_flaps_is_in_only_when_it_was_ready_three_times_in_a_row(joining: Joining) -> None:
    calm = 30.0
    joining.kubelets.ready = lambda _, seconds: seconds >= calm or int(seconds / 2) % 2 == 0
    joining.start()
    assert STEP.apply(joining.world, joining.hosts) == {}
    assert joining.clock.monotonic() > calm


def test_a_node_that_never_stops_flapping_times_out(joining: Joining) -> None:
    joining.kubelets.ready = lambda _, seconds: int(seconds / 2) % 2 == 0
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts)
    assert set(failures) == {"n1", "n2"}
    assert failures["n1"].startswith("not Ready after 120 s")


def test_a_report_from_before_the_join_does_not_count(joining: Joining) -> None:
    joining.start()
    stale = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-03-01T01:00:00Z", "message": "old"}

    def old_report() -> None:
        joining.kube.of("Node")["n1"]["status"]["conditions"] = [stale]

    joining.kube.before_get.append(old_report)
    assert set(STEP.apply(joining.world, joining.hosts)) == {"n1"}


def test_a_cni_that_is_not_ready_is_said_in_the_timeouts_message(joining: Joining) -> None:
    joining.kubelets.ready = lambda *_: False
    joining.kubelets.why = "container runtime network not ready: cni plugin not initialized"
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts)
    assert failures["n1"].startswith("not Ready after 120 s: container runtime network not ready: cni plugin")


def test_a_host_that_dies_fails_before_the_deadline_and_the_others_join(joining: Joining) -> None:
    joining.ssh.machines["n1"].unreachable = True
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts)
    assert set(failures) == {"n1"}
    assert "SSH does not answer" in failures["n1"]
    assert joining.clock.monotonic() < JOIN_SECONDS


def test_a_host_that_dies_after_it_got_its_certificate_fails_before_the_deadline(joining: Joining) -> None:
    joining.kubelets.ready = lambda name, _: name == "n2"
    restarted = joining.ssh.machines["n1"].restarted

    def dies() -> Said:
        said = restarted()
        joining.ssh.machines["n1"].unreachable = True
        return said

    joining.ssh.machines["n1"].restarted = dies
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts)
    assert set(failures) == {"n1"}
    assert failures["n1"].startswith("the host died while joining")
    assert joining.clock.monotonic() < JOIN_SECONDS


def test_a_host_that_is_away_for_a_moment_joins(joining: Joining) -> None:
    restarted = joining.ssh.machines["n1"].restarted
    away = [UnreachableError("n1: it reboots")] * 3

    def returns() -> Said:
        if away:
            raise away.pop()
        return restarted()

    joining.ssh.machines["n1"].restarted = returns
    joining.start()
    assert STEP.apply(joining.world, joining.hosts) == {}


def test_a_host_on_its_way_down_that_refuses_the_restart_is_asked_again(joining: Joining) -> None:
    restarted = joining.ssh.machines["n1"].restarted
    refusals = [Said(1, "", "Refusing operation, shutdown is in progress")] * 2
    joining.ssh.machines["n1"].restarted = lambda: refusals.pop() if refusals else restarted()
    joining.start()
    assert STEP.apply(joining.world, joining.hosts) == {}


def test_a_kubelet_that_does_not_start_again_fails_with_what_systemd_said(joining: Joining) -> None:
    joining.ssh.machines["n1"].restarted = lambda: Said(1, "", "Unit kubelet.service not found.\n")
    joining.start()
    failures = STEP.apply(joining.world, joining.hosts[:1])
    assert "did not start with its certificate: Unit kubelet.service not found." in failures["n1"]


def test_a_changed_host_key_is_not_waited_for(joining: Joining) -> None:
    def reinstalled() -> Said:
        raise HostKeyError("n1: the host's key changed: it shows SHA256:other")

    joining.ssh.machines["n1"].restarted = reinstalled
    failures = STEP.apply(joining.world, joining.hosts[:1])
    assert failures["n1"].startswith("n1: the host's key changed")
    assert joining.clock.monotonic() < 5


def test_undo_leaves_the_cluster_as_it_is(joining: Joining) -> None:
    joining.start()
    before = set(joining.kube.objects)
    STEP.undo(joining.world, joining.hosts[0])
    assert set(joining.kube.objects) == before
