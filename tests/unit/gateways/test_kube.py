from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways.kube import Kubectl, KubeError, csrs, look, nodes
from scaler.gateways.process import ProcessError
from tests.fakes.clock import FakeClock
from tests.fakes.kube import FakeKube

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def kubectl(tmp_path: Path) -> Callable[[str], Kubectl]:
    """Return a kubectl that is a script; it leaves what it was asked in ``argv`` and ``stdin``."""

    def make(script: str) -> Kubectl:
        program = tmp_path / "kubectl"
        kept = f'printf "%s\\n" "$@" > {tmp_path}/argv; cat > {tmp_path}/stdin'
        program.write_text(f"#!/bin/sh\n{kept}\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        return Kubectl(program, tmp_path / "admin.kubeconfig", tmp_path / "cache")

    return make


def asked(directory: Path) -> list[str]:
    """Return the arguments that kubectl was given, without those that each call has."""
    words = (directory / "argv").read_text().splitlines()
    common = ("--kubeconfig=", "--cache-dir=", "--request-timeout=")
    assert [word.partition("=")[0] + "=" for word in words[:3]] == list(common)
    return words[3:]


@pytest.mark.parametrize(
    "said",
    [
        "Unable to connect to the server: dial tcp 10.0.0.5:6443: i/o timeout",
        "The connection to the server 10.0.0.5:6443 was refused - did you specify the right host or port?",
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "dial tcp 10.0.0.5:6443: connect: no route to host",
        'Get "https://10.0.0.5:6443/api?timeout=20s": EOF',
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        "Error from server (Timeout): the server was unable to return a response in the time allotted, but may go on",
        'error: unable to do it on the server ("")',
    ],
)
def test_an_api_that_does_not_answer_is_unreachable(kubectl: Callable[[str], Kubectl], said: str) -> None:
    with pytest.raises(UnreachableError, match="the API server does not answer") as failed:
        kubectl(f"cat >&2 <<'END'\n{said}\nEND\nexit 1").call(["get", "nodes"])
    assert said in failed.value.message


@pytest.mark.parametrize("said", ["request timed out", "no leader", "leader changed"])
def test_an_api_whose_etcd_does_not_answer_is_unreachable(kubectl: Callable[[str], Kubectl], said: str) -> None:
    with pytest.raises(UnreachableError, match=f"the API server has no answer from etcd: .*{said}") as failed:
        kubectl(f"echo 'Error from server: etcdserver: {said}' >&2; exit 1").call(["get", "nodes"])
    assert "scaler status" in failed.value.hint


@pytest.mark.parametrize(
    "said",
    [
        'Error from server (NotFound): nodes "n1" not found',
        'Error from server (AlreadyExists): nodes "n1" already exists',
        'Error from server (Forbidden): nodes is forbidden: User "x" cannot list resource',
        "error: unknown command",
    ],
)
def test_what_the_api_refuses_is_told_in_its_words(kubectl: Callable[[str], Kubectl], said: str) -> None:
    with pytest.raises(KubeError) as failed:
        kubectl(f"cat >&2 <<'END'\n{said}\nEND\nexit 1").call(["get", "nodes", "n1"])
    assert failed.value.message == f"kubectl get nodes: {said}"


def test_a_kubectl_that_says_nothing_is_an_error_all_the_same(kubectl: Callable[[str], Kubectl]) -> None:
    with pytest.raises(KubeError, match="exit status 3: no output"):
        kubectl("exit 3").call(["get", "nodes"])


def test_a_kubectl_that_hangs_is_an_api_that_does_not_answer(kubectl: Callable[[str], Kubectl]) -> None:
    with pytest.raises(UnreachableError, match="no end after"):
        kubectl("exec sleep 60").call(["get", "nodes"], timeout=0.2)


def test_a_kubectl_that_is_missing_is_not_silent(tmp_path: Path) -> None:
    with pytest.raises(ScalerError, match="not found on this machine") as failed:
        Kubectl(tmp_path / "no", tmp_path / "a", tmp_path / "b").call(["get", "nodes"])
    assert isinstance(failed.value.__cause__, ProcessError)


def test_the_operators_proxy_and_kubeconfig_are_not_asked(
    kubectl: Callable[[str], Kubectl], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "KUBECONFIG")
    for name in names:
        monkeypatch.setenv(name, "elsewhere")
    told = kubectl("env").call(["get", "nodes"])
    assert "elsewhere" not in told


def test_one_object_a_list_and_nothing_are_read_alike(kubectl: Callable[[str], Kubectl], tmp_path: Path) -> None:
    one = json.dumps({"kind": "Node", "metadata": {"name": "n1"}})
    assert [told["metadata"]["name"] for told in kubectl(f"echo '{one}'").get("nodes", ["n1"])] == ["n1"]
    many = json.dumps({"kind": "List", "items": [{"kind": "Node"}, {"kind": "Node"}]})
    assert len(kubectl(f"echo '{many}'").get("nodes")) == 2
    assert kubectl("true").get("pods", ["p"], namespace="space") == []
    assert asked(tmp_path) == ["get", "pods", "p", "-n", "space", "--ignore-not-found", "-o", "json"]


def test_objects_are_given_on_standard_input_and_never_as_arguments(
    kubectl: Callable[[str], Kubectl], tmp_path: Path
) -> None:
    secret = {"kind": "Secret", "stringData": {"token-secret": "hush"}}
    kubectl("true").create([secret])
    assert asked(tmp_path) == ["create", "--validate=false", "-f", "-", "-o", "name"]
    assert json.loads((tmp_path / "stdin").read_text())["items"] == [secret]


def test_what_is_applied_is_not_created(kubectl: Callable[[str], Kubectl], tmp_path: Path) -> None:
    kubectl("true").create([], apply=True)
    assert asked(tmp_path)[0] == "apply"


def test_deleting_nothing_asks_nothing(kubectl: Callable[[str], Kubectl], tmp_path: Path) -> None:
    kubectl("true").delete("nodes", [])
    assert not (tmp_path / "argv").exists()


def test_what_is_not_there_is_deleted_without_an_error(kubectl: Callable[[str], Kubectl], tmp_path: Path) -> None:
    kubectl("true").delete("secrets", iter(["a", "b"]), namespace="kube-system")
    assert asked(tmp_path) == ["delete", "secrets", "a", "b", "-n", "kube-system", "--ignore-not-found", "--wait=false"]


def test_a_look_sees_version_nodes_and_pending_requests() -> None:
    kube = FakeKube(FakeClock(), version="1.20.15")
    kube.add_node("n1", address="10.0.0.11", cidr="10.244.1.0/24")
    kube.add_node("n2", ready=False, why="cni plugin not initialized")
    kube.submit("pending", request="")
    state = look(kube)
    assert state.server_version == "1.20.15"
    assert state.pending_csrs == ("pending",)
    first, second = state.nodes
    assert (first.internal_ip, first.spec.pod_cidr, first.ready) == ("10.0.0.11", "10.244.1.0/24", True)
    assert (second.ready, second.why_not_ready) == (False, "cni plugin not initialized")
    assert [node.name for node in nodes(kube, ["n2", "n9"])] == ["n2"]
    assert [csr.metadata.name for csr in csrs(kube)] == ["pending"]
