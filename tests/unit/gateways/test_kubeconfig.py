from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from scaler.errors import InputError
from scaler.gateways import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

CA = b"-----BEGIN CERTIFICATE-----\n"
TWO = """\
current-context: second
contexts:
  - {name: first, context: {cluster: a, user: x}}
  - {name: second, context: {cluster: b, user: x}}
clusters:
  - {name: a, cluster: {server: "https://a:6443", certificate-authority-data: QUFB}}
  - {name: b, cluster: {server: "https://b:6443", AUTHORITY}}
"""


def written(path: Path, authority: str) -> Path:
    path.write_text(TWO.replace("AUTHORITY", authority))
    return path


def test_the_current_contexts_cluster_counts(tmp_path: Path) -> None:
    data = base64.b64encode(CA).decode()
    told = kubeconfig.read(written(tmp_path / "admin", f"certificate-authority-data: {data}"))
    assert (told.server, told.ca) == ("https://b:6443", CA)


def test_an_authority_in_a_file_is_looked_for_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(CA)
    assert kubeconfig.read(written(tmp_path / "admin", "certificate-authority: ca.crt")).ca == CA


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "current-context: none\ncontexts: []\nclusters: []\n"])
def test_what_is_no_kubeconfig_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "admin").write_text(text)
    with pytest.raises(InputError, match="admin: not a kubeconfig with a current context"):
        kubeconfig.read(tmp_path / "admin")


def test_a_kubeconfig_that_is_not_there_is_refused_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="admin: No such file") as caught:
        kubeconfig.read(tmp_path / "admin")
    assert "scaler init" in caught.value.hint


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ca\.crt: No such file"):
        kubeconfig.read(written(tmp_path / "admin", "certificate-authority: ca.crt"))


USERS = 'users: [{name: x, user: {USER}}, {name: y, user: {client-certificate-data: "QQ=="}}]\n'


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (f"client-certificate-data: {base64.b64encode(CA).decode()}", CA),
        ("client-certificate: admin.crt", CA),
        ("token: abc", b""),
    ],
)
def test_the_certificate_is_that_of_the_current_contexts_user(tmp_path: Path, user: str, expected: bytes) -> None:
    (tmp_path / "admin.crt").write_bytes(CA)
    path = written(tmp_path / "admin", "certificate-authority: ca.crt")
    path.write_text(path.read_text() + USERS.replace("USER", user))
    assert kubeconfig.client_certificate(path) == expected


def test_a_kubeconfig_that_is_none_has_no_certificate_to_tell(tmp_path: Path) -> None:
    (tmp_path / "admin").write_text("[1, 2]")
    with pytest.raises(InputError, match="not a kubeconfig"):
        kubeconfig.client_certificate(tmp_path / "admin")
