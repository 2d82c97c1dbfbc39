"""Make and read certificates: ECDSA P-256 keys, one certificate a host and purpose, at most a year."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# A host whose clock is a little behind must not find its certificate "not yet valid" (CAPI#4304).
BACKDATE = timedelta(minutes=10)
LEAF_LIFE = timedelta(days=365)
CA_LIFE = timedelta(days=3650)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Pair(NamedTuple):
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Subject(NamedTuple):
    """Who a certificate is for."""

    name: str
    organization: str = ""
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Return ``key`` as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def new_ca(name: str, now: datetime) -> Pair:
    """Make a certificate authority called ``name``, good for ten years."""
    key = new_key()
    subject = _name(Subject(name))
    builder = _builder(subject, subject, key.public_key(), now, CA_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(ca=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), pem(key))


def issue(ca: Pair, subject: Subject, usages: Iterable[x509.ObjectIdentifier], now: datetime) -> Pair:
    """Make a key and its certificate for ``subject``, signed by ``ca``; never outlives the CA."""
    authority = x509.load_pem_x509_certificate(ca.certificate)
    signer = serialization.load_pem_private_key(ca.key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InputError("the CA's key is neither ECDSA nor RSA")
    key = new_key()
    life = min(LEAF_LIFE, authority.not_valid_after_utc - now)
    builder = _builder(_name(subject), authority.subject, key.public_key(), now, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(ca=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    if subject.dns or subject.addresses:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(subject)), critical=False)
    return Pair(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), pem(key))


def request(key: ec.EllipticCurvePrivateKey, subject: Subject) -> bytes:
    """Return a PEM certificate signing request for ``subject``."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def new_service_account_key() -> Pair:
    """Make the key pair that signs service-account tokens: RSA 2048, public part first."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Pair(public, pem(key))


def check_ca(where: str, ca: Pair, now: datetime) -> None:
    """Refuse a CA that is not one, whose key is not its own, or that is over or nearly so (30 days)."""
    try:
        certificate = x509.load_pem_x509_certificate(ca.certificate)
        key = serialization.load_pem_private_key(ca.key, password=None)
        authority = _is_authority(certificate)
    except TypeError as e:
        raise InputError(f"{where}: the CA's key is encrypted", hint="scaler takes a plain key, mode 0600") from e
    except ValueError as e:
        raise InputError(f"{where}: not a PEM certificate and key: {e}") from e
    if key.public_key() != certificate.public_key():
        raise InputError(f"{where}: the CA's key does not belong to its certificate")
    if not authority:
        raise InputError(f"{where}: the certificate is not a CA's", hint="give the CA's own certificate and key")
    left = certificate.not_valid_after_utc - now
    if left < timedelta(days=30):
        raise InputError(f"{where}: the CA ends in {left.days} days", hint="renew the CA before the cluster grows")


def _is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether Kubernetes would take ``certificate`` for a CA's; one of version 1 says nothing about it."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return certificate.version is x509.Version.v1


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATE).not_valid_after(now + life)


def _name(subject: Subject) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organization)] if subject.organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])


def _alternatives(subject: Subject) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in subject.dns]
    return names + [x509.IPAddress(ipaddress.ip_address(address)) for address in subject.addresses]


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
