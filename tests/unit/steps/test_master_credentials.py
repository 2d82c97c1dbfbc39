from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from ruamel.yaml import YAML

from scaler.steps import master_credentials
from scaler.steps.pki_made import STEP as PKI_MADE
from tests.fakes.clock import BEGIN
from tests.fakes.world import Fakes, host

if TYPE_CHECKING:
    from pathlib import Path

M1, LB1 = host("m1", 1), host("lb1", 9)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
LEAVES = {
    "etcd-server": ("etcd-ca", {SERVER, CLIENT}),
    "etcd-peer": ("etcd-ca", {SERVER, CLIENT}),
    "etcd-client": ("etcd-ca", {CLIENT}),
    "apiserver": ("ca", {SERVER}),
    "apiserver-kubelet-client": ("ca", {CLIENT}),
    "front-proxy-client": ("front-proxy-ca", {CLIENT}),
}


@pytest.fixture
def placed(tmp_path: Path) -> Path:
    fakes = Fakes(tmp_path, [M1], loadbalancers=(LB1,), api_endpoint="api.example.org:6443")
    PKI_MADE.apply(fakes.world, fakes.hosts)
    target = fakes.world.secrets("m1-master")
    master_credentials.write(fakes.world.cluster, M1, target, BEGIN)
    return target


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize("name", LEAVES)
def test_each_certificate_is_of_its_authority_for_its_purpose(placed: Path, name: str) -> None:
    authority, usages = LEAVES[name]
    certificate = read(placed / f"{name}.crt")
    certificate.verify_directly_issued_by(read(placed / f"{authority}.crt"))
    assert set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == usages


def test_the_api_server_has_every_name_it_is_called_by(placed: Path) -> None:
    alternatives = read(placed / "apiserver.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    names = set(alternatives.get_values_for_type(x509.DNSName))
    assert names == {*service, "localhost", "m1", "api.example.org", "lb1"}
    addresses = {str(address) for address in alternatives.get_values_for_type(x509.IPAddress)}
    assert addresses == {"10.0.0.1", "10.96.0.1", "127.0.0.1", "10.0.0.9"}


def test_an_endpoint_that_is_an_address_is_one_of_the_addresses(tmp_path: Path) -> None:
    subject = master_credentials.apiserver_subject(Fakes(tmp_path, [M1]).world.cluster, M1)
    assert "10.0.0.5" in subject.addresses
    assert "10.0.0.5" not in subject.dns


def test_every_file_is_its_owners_alone(placed: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in placed.iterdir()} == {0o600}
    assert placed.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["controller-manager", "scheduler"])
def test_each_component_speaks_to_the_api_server_beside_it_in_its_own_name(placed: Path, name: str) -> None:
    told = YAML(typ="safe", pure=True).load((placed / f"{name}.kubeconfig").read_text())
    assert told["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    certificate = x509.load_pem_x509_certificate(base64.b64decode(told["users"][0]["user"]["client-certificate-data"]))
    (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common.value == f"system:kube-{name}"


def test_no_authoritys_key_but_the_signing_one_is_sent_to_a_master(placed: Path) -> None:
    assert (placed / "ca.key").exists()
    assert not (placed / "etcd-ca.key").exists()
    assert not (placed / "front-proxy-ca.key").exists()
