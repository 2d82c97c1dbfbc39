from __future__ import annotations

import base64
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from scaler.model.state import Csr
from scaler.pki.approval import CLIENT_SIGNER, SERVING_SIGNER, Expected, refusal
from scaler.pki.certificates import new_key

GROUP = "system:bootstrappers:scaler"
EXPECTED = Expected("n1", "abcdef", GROUP, frozenset({"n1"}), frozenset({"192.0.2.31"}))
KEY = new_key()
CLIENT = {
    "signer": CLIENT_SIGNER,
    "username": "system:bootstrap:abcdef",
    "groups": (GROUP, "system:bootstrappers", "system:authenticated"),
    "usages": ("digital signature", "key encipherment", "client auth"),
    "names": (),
}
SERVING = {
    "signer": SERVING_SIGNER,
    "username": "system:node:n1",
    "groups": ("system:nodes", "system:authenticated"),
    "usages": ("digital signature", "key encipherment", "server auth"),
    "names": (x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("192.0.2.31"))),
}


def pem(subject: list[tuple[x509.ObjectIdentifier, str]], names: tuple[x509.GeneralName, ...]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def csr(base: dict[str, Any], *, cn: str = "system:node:n1", o: str = "system:nodes", **changes: Any) -> Csr:
    given = {**base, **changes}
    subject = [(NameOID.ORGANIZATION_NAME, o), (NameOID.COMMON_NAME, cn)]
    spec = {
        "request": base64.b64encode(pem(subject, given["names"])).decode(),
        "signerName": given["signer"],
        "username": given["username"],
        "groups": given["groups"],
        "usages": given["usages"],
    }
    return Csr.model_validate({"metadata": {"name": "csr"}, "spec": spec})


def test_exactly_a_kubelets_client_request_is_approved() -> None:
    assert refusal(csr(CLIENT), EXPECTED) is None


def test_exactly_a_kubelets_serving_request_is_approved() -> None:
    assert refusal(csr(SERVING), EXPECTED) is None


def test_a_serving_request_for_the_address_alone_is_approved() -> None:
    assert refusal(csr(SERVING, names=SERVING["names"][1:]), EXPECTED) is None


@pytest.mark.parametrize(
    "deviation",
    [
        {"username": "system:bootstrap:zzzzzz"},
        {"username": "system:node:n1"},
        {"username": "kubernetes-admin"},
        {"groups": ("system:bootstrappers", "system:authenticated")},
        {"signer": "kubernetes.io/kube-apiserver-client"},
        {"signer": "kubernetes.io/legacy-unknown"},
        {"usages": ("digital signature", "client auth", "server auth")},
        {"usages": ("digital signature",)},
        {"names": (x509.DNSName("n1"),)},
        {"cn": "system:node:n2"},
        {"cn": "system:admin"},
        {"o": "system:masters"},
    ],
)
def test_a_client_request_that_deviates_is_refused(deviation: dict[str, Any]) -> None:
    assert refusal(csr(CLIENT, **deviation), EXPECTED)


@pytest.mark.parametrize(
    "deviation",
    [
        {"username": "system:node:n2"},
        {"username": "system:bootstrap:abcdef"},
        {"groups": ("system:authenticated",)},
        {"usages": ("digital signature", "server auth", "client auth")},
        {"usages": ("digital signature",)},
        {"names": ()},
        {"names": (x509.DNSName("n1"),)},
        {"names": (*SERVING["names"], x509.DNSName("kubernetes"))},
        {"names": (*SERVING["names"], x509.IPAddress(ipaddress.ip_address("192.0.2.10")))},
        {"names": (x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("192.0.2.32")))},
        {"names": (*SERVING["names"], x509.UniformResourceIdentifier("https://x"))},
        {"cn": "system:node:n2"},
        {"o": "system:masters"},
    ],
)
def test_a_serving_request_that_deviates_is_refused(deviation: dict[str, Any]) -> None:
    assert refusal(csr(SERVING, **deviation), EXPECTED)


# A common name has 64 bytes at most, and a character up to four.
@given(st.text(min_size=1, max_size=16).filter(lambda text: text != "system:node:n1"))
def test_no_other_common_name_is_ever_approved(name: str) -> None:
    encoded = name.encode("utf-8", "ignore").decode() or "x"
    for base in (CLIENT, SERVING):
        assert refusal(csr(base, cn=encoded), EXPECTED)


@given(st.sets(st.ip_addresses(v=4).map(str), max_size=3).filter(lambda found: found != {"192.0.2.31"}))
def test_no_other_set_of_addresses_is_ever_approved(addresses: set[str]) -> None:
    names = (x509.DNSName("n1"), *(x509.IPAddress(ipaddress.ip_address(a)) for a in sorted(addresses)))
    assert refusal(csr(SERVING, names=names), EXPECTED)


@pytest.mark.parametrize("request_text", ["", "bm90IGEgcmVxdWVzdA==", "///"])
def test_what_is_no_request_is_refused(request_text: str) -> None:
    broken = csr(CLIENT)
    spec = broken.spec.model_copy(update={"request": request_text})
    assert refusal(broken.model_copy(update={"spec": spec}), EXPECTED)


def test_a_request_whose_key_is_another_is_refused() -> None:
    der = bytearray(
        x509.load_pem_x509_csr(base64.b64decode(csr(CLIENT).spec.request)).public_bytes(serialization.Encoding.DER)
    )
    der[-1] ^= 1
    armored = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(bytes(der))
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    good = csr(CLIENT)
    spec = good.spec.model_copy(update={"request": base64.b64encode(armored).decode()})
    assert refusal(good.model_copy(update={"spec": spec}), EXPECTED)


def asked(base: dict[str, Any], request: bytes) -> Csr:
    good = csr(base)
    spec = good.spec.model_copy(update={"request": base64.b64encode(request).decode()})
    return good.model_copy(update={"spec": spec})


def signed(
    *extensions: x509.ExtensionType, subject: tuple[x509.NameAttribute[str], ...] = (), names: tuple[Any, ...] = ()
) -> bytes:
    own = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1"),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([*own, *subject]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("base", [CLIENT, SERVING])
def test_a_request_for_anything_beside_name_group_and_alternatives_is_refused(base: dict[str, Any]) -> None:
    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "somebody else")
    authority = x509.BasicConstraints(ca=True, path_length=None)
    assert refusal(asked(base, signed(names=base["names"])), EXPECTED) is None
    assert refusal(asked(base, signed(names=base["names"], subject=(unit,))), EXPECTED)
    assert refusal(asked(base, signed(authority, names=base["names"])), EXPECTED)


# A subjectAltName with an x400Address, which no library reads.
X400 = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3004a3020500"))
P256, NO_CURVE = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")


def of_an_unknown_curve() -> bytes:
    der = x509.load_pem_x509_csr(signed()).public_bytes(serialization.Encoding.DER).replace(P256, NO_CURVE)
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("request_pem", [signed(X400), of_an_unknown_curve()], ids=["x400", "curve"])
def test_a_foreign_request_that_cannot_be_read_is_refused_and_ends_no_run(request_pem: bytes) -> None:
    told = refusal(asked(CLIENT, request_pem), EXPECTED)
    assert told is not None
    assert told.startswith("not a valid request: ")
