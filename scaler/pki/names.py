"""What a certificate says of its owner: which names and addresses it carries, whose it is, how long."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from scaler.pki.certificates import Pair


def carried(pem: bytes) -> set[str]:
    """Return every DNS name and address of the certificate's subject alternative names."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def missing(pem: bytes, wanted: Iterable[str]) -> list[str]:
    """Return those of ``wanted`` that the certificate does not carry."""
    have = carried(pem)
    return [name for name in wanted if _plain(name) not in have]


def check_leaf(where: str, pair: Pair, authority: bytes, wanted: Iterable[str], now: datetime) -> None:
    """Refuse a ready-made certificate: another authority's, another key's, over, or without a name of ``wanted``."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, password=None)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (InvalidSignature, ValueError, TypeError) as e:
        raise InputError(f"{where}: not a certificate of this cluster's authority with its plain key: {e}") from e
    if key.public_key() != certificate.public_key():
        raise InputError(f"{where}: the key does not belong to the certificate")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        raise InputError(f"{where}: not valid now, but from {begin} to {end}")
    lacks = missing(pair.certificate, wanted)
    if lacks:
        raise InputError(
            f"{where}: does not carry {', '.join(lacks)}", hint="issue it with these subject alternative names"
        )


def _plain(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
