"""Read what a certificate signing request asks for, to compare it with what a join may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest, ObjectIdentifier


class Asked(NamedTuple):
    """The names and addresses in a request; ``others`` counts whatever else is in it."""

    names: tuple[str, ...]
    organizations: tuple[str, ...]
    dns: frozenset[str]
    addresses: frozenset[str]
    others: int


def read(pem: bytes) -> Asked:
    """Return what the PEM request asks for; raises ValueError where it is not a valid, self-signed request."""
    try:
        return _asked(x509.load_pem_x509_csr(pem))
    except (UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as e:
        # Anybody may ask for anything, and none of these is a ValueError.
        raise ValueError(str(e)) from e


def _asked(request: CertificateSigningRequest) -> Asked:
    if not request.is_signature_valid:
        raise ValueError("the request is not signed by its own key")
    alternatives: list[x509.GeneralName] = []
    others = 0
    for extension in request.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            alternatives = list(extension.value)
        else:
            others += 1
    dns = frozenset(n.value for n in alternatives if isinstance(n, x509.DNSName))
    addresses = frozenset(str(n.value) for n in alternatives if isinstance(n, x509.IPAddress))
    names = _values(request, NameOID.COMMON_NAME)
    organizations = _values(request, NameOID.ORGANIZATION_NAME)
    others += len(alternatives) - len(dns) - len(addresses)
    others += len(list(request.subject)) - len(names) - len(organizations)
    return Asked(names, organizations, dns, addresses, others)


def _values(request: CertificateSigningRequest, oid: ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(attribute.value) for attribute in request.subject.get_attributes_for_oid(oid))
