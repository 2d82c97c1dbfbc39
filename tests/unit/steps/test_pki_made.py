from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML

from scaler.errors import InputError
from scaler.gateways import kubeconfig
from scaler.pki.certificates import new_ca
from scaler.steps.pki_made import STEP
from tests.fakes.clock import BEGIN
from tests.fakes.world import Fakes, host

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ("ca.key", "etcd-ca.key", "front-proxy-ca.key", "sa.key", "encryption.yaml")


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    made = Fakes(tmp_path, [host("m1", 1)])
    made.world.cluster.settings.admin_kubeconfig.unlink()
    return made


def make(fakes: Fakes) -> Path:
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    return fakes.world.cluster.settings.pki_dir


def test_what_is_secret_can_be_read_by_its_owner_alone(fakes: Fakes) -> None:
    pki = make(fakes)
    modes = {path.name: path.stat().st_mode & 0o777 for path in pki.iterdir()}
    assert {modes[name] for name in KEYS} == {0o600}
    assert pki.stat().st_mode & 0o777 == 0o700
    assert fakes.world.cluster.settings.admin_kubeconfig.stat().st_mode & 0o777 == 0o600


def test_each_authority_is_another(fakes: Fakes) -> None:
    pki = make(fakes)
    keys = {(pki / f"{name}.key").read_bytes() for name in ("ca", "etcd-ca", "front-proxy-ca")}
    assert len(keys) == 3


def test_the_administrator_goes_through_the_load_balancer_and_is_signed_by_the_ca(fakes: Fakes) -> None:
    pki = make(fakes)
    path = fakes.world.cluster.settings.admin_kubeconfig
    told = kubeconfig.read(path)
    assert told.server == "https://10.0.0.5:6443"
    assert told.ca == (pki / "ca.crt").read_bytes()
    user = YAML(typ="safe", pure=True).load(path.read_text())["users"][0]["user"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    groups = [each.value for each in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert groups == ["system:masters"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(told.ca))


def test_what_is_there_is_kept_byte_for_byte(fakes: Fakes) -> None:
    pki = make(fakes)
    before = {path: path.read_bytes() for path in (*pki.iterdir(), fakes.world.cluster.settings.admin_kubeconfig)}
    make(fakes)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "etcd-ca.key"])
def test_half_an_authority_is_refused_and_never_made_anew(fakes: Fakes, name: str) -> None:
    pki = make(fakes)
    (pki / name).unlink()
    before = {path: path.read_bytes() for path in pki.iterdir()}
    with pytest.raises(InputError, match=f"{name} is missing"):
        STEP.apply(fakes.world, fakes.hosts)
    assert {path: path.read_bytes() for path in pki.iterdir()} == before


def test_a_key_that_others_may_read_is_refused_with_the_remedy(fakes: Fakes) -> None:
    pki = make(fakes)
    (pki / "ca.key").chmod(0o644)
    with pytest.raises(InputError, match=r"can be read by others \(mode 0644\)") as caught:
        STEP.apply(fakes.world, fakes.hosts)
    assert caught.value.hint == f"chmod 600 {pki / 'ca.key'}"


def test_a_key_of_another_authority_is_refused(fakes: Fakes) -> None:
    pki = make(fakes)
    (pki / "ca.key").write_bytes(new_ca("another", BEGIN).key)
    with pytest.raises(InputError, match="does not belong to its certificate"):
        STEP.apply(fakes.world, fakes.hosts)
