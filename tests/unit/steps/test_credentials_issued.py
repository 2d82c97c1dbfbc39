from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML

from scaler.errors import StepError
from scaler.gateways.kube import KubeError
from scaler.steps.credentials_issued import STEP
from tests.fakes.world import CA, Fakes, hosts

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"ca.crt", "kubelet-bootstrap.kubeconfig", "kube-proxy.kubeconfig"}


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path, hosts("n1", "n2"))


def test_each_host_has_a_token_of_its_own_that_ends_in_15_minutes(fakes: Fakes) -> None:
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    tokens = [told["stringData"] for told in fakes.kube.of("Secret").values()]
    assert len({token["token-id"] for token in tokens}) == len({token["token-secret"] for token in tokens}) == 2
    assert {token["token-id"] for token in tokens} == set(fakes.world.tokens.values())
    for token in tokens:
        assert token["expiration"] == "2026-03-01T02:15:00Z"
        assert token["auth-extra-groups"] == "system:bootstrappers:scaler"
        assert token["usage-bootstrap-authentication"] == "true"
        assert "usage-bootstrap-signing" not in token


def test_tokens_may_ask_for_a_kubelets_certificate_and_nothing_else(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    (bound,) = fakes.kube.of("ClusterRoleBinding").values()
    assert bound["roleRef"]["name"] == "system:node-bootstrapper"
    assert [subject["name"] for subject in bound["subjects"]] == ["system:bootstrappers:scaler"]


def test_each_hosts_kubeconfig_holds_its_own_token_and_the_clusters_ca(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    secrets = {told["stringData"]["token-id"]: told["stringData"] for told in fakes.kube.of("Secret").values()}
    for name, token in fakes.world.tokens.items():
        text = (fakes.world.secrets(name) / "kubelet-bootstrap.kubeconfig").read_text()
        told = YAML(typ="safe", pure=True).load(text)
        assert told["users"][0]["user"] == {"token": f"{token}.{secrets[token]['token-secret']}"}
        assert told["clusters"][0]["cluster"]["server"] == "https://10.0.0.5:6443"
        assert base64.b64decode(told["clusters"][0]["cluster"]["certificate-authority-data"]).decode() == CA


def test_each_kube_proxy_has_a_key_and_a_certificate_of_its_own(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    keys = set()
    for each in fakes.hosts:
        text = (fakes.world.secrets(each.name) / "kube-proxy.kubeconfig").read_text()
        user = YAML(typ="safe", pure=True).load(text)["users"][0]["user"]
        certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == "system:kube-proxy"
        keys.add(user["client-key-data"])
    assert len(keys) == 2


def test_what_is_secret_can_be_read_by_its_owner_alone(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    for each in fakes.hosts:
        directory = fakes.world.secrets(each.name)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {path.name for path in directory.iterdir()} == FILES
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_the_requests_are_gone_afterwards_and_a_foreign_one_is_untouched(fakes: Fakes) -> None:
    fakes.kube.submit("csr-foreign", request="", username="somebody")
    STEP.apply(fakes.world, fakes.hosts)
    assert fakes.kube.of("CertificateSigningRequest").keys() == {"csr-foreign"}
    assert fakes.kube.approved() == set()


def test_a_cluster_that_does_not_sign_is_told_by_the_flags_it_lacks(fakes: Fakes) -> None:
    fakes.kube.signs = False
    with pytest.raises(StepError, match="did not sign") as failed:
        STEP.apply(fakes.world, fakes.hosts)
    assert "--cluster-signing-cert-file" in failed.value.hint
    assert fakes.clock.monotonic() > 19


def test_undo_deletes_the_hosts_own_token_alone(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert fakes.kube.of("Secret").keys() == {f"bootstrap-token-{fakes.world.tokens['n2']}"}


def test_undo_after_a_refused_creation_is_no_error(fakes: Fakes) -> None:
    fakes.kube.refuse = lambda argv: "forbidden" if argv[:2] == ["create", "Secret"] else None
    with pytest.raises(KubeError, match="forbidden"):
        STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert fakes.kube.of("Secret") == {}
