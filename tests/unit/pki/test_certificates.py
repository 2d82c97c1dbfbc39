from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from scaler.errors import InputError
from scaler.pki.certificates import CLIENT, SERVER, Pair, Subject, check_ca, issue, new_ca, new_service_account_key

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
CA = new_ca("prod-ca", NOW)
SUBJECT = Subject("kube-apiserver", dns=("m1", "localhost"), addresses=("192.0.2.11", "10.96.0.1"))


def read(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def test_a_certificate_has_exactly_the_names_asked_for() -> None:
    names = (
        read(issue(CA, SUBJECT, [SERVER], NOW)).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    assert names.get_values_for_type(x509.DNSName) == ["m1", "localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.11", "10.96.0.1"]


def test_a_client_certificate_has_no_alternative_names_and_one_usage() -> None:
    certificate = read(issue(CA, Subject("system:kube-scheduler"), [CLIENT], NOW))
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_certificate_begins_ten_minutes_ago_and_lasts_a_year() -> None:
    certificate = read(issue(CA, SUBJECT, [SERVER], NOW))
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=10)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)


def test_a_certificate_never_outlives_its_authority() -> None:
    late = NOW + timedelta(days=3600)
    assert read(issue(CA, SUBJECT, [SERVER], late)).not_valid_after_utc == read(CA).not_valid_after_utc


def test_each_certificate_has_its_own_key_and_is_signed_by_the_authority() -> None:
    first, second = issue(CA, SUBJECT, [SERVER], NOW), issue(CA, SUBJECT, [SERVER], NOW)
    assert first.key != second.key
    read(first).verify_directly_issued_by(read(CA))


def test_a_leaf_is_no_authority() -> None:
    constraints = read(issue(CA, SUBJECT, [SERVER], NOW)).extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)


def test_a_service_account_key_is_a_pair() -> None:
    pair = new_service_account_key()
    private = serialization.load_pem_private_key(pair.key, password=None)
    assert private.public_key() == serialization.load_pem_public_key(pair.certificate)


def test_a_good_authority_passes() -> None:
    check_ca("pki/ca", CA, NOW)


def _encrypted() -> Pair:
    key = serialization.load_pem_private_key(CA.key, password=None)
    secret = serialization.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    return Pair(CA.certificate, pem)


@pytest.mark.parametrize(
    ("ca", "after", "reason"),
    [
        (Pair(CA.certificate, new_ca("other", NOW).key), 0, "does not belong to its certificate"),
        (_encrypted(), 0, "is encrypted"),
        (CA, 3651, "ends in -1 days"),
        (CA, 3625, "ends in 25 days"),
        (issue(CA, SUBJECT, [SERVER], NOW), 0, "the certificate is not a CA's"),
        (CA, 3621, "ends in 29 days"),
        (Pair(CA.key, CA.certificate), 0, "not a PEM certificate and key"),
        (Pair(b"<html>", CA.key), 0, "not a PEM certificate and key"),
        (Pair(CA.certificate, b""), 0, "not a PEM certificate and key"),
    ],
)
def test_an_authority_that_cannot_serve_is_refused(ca: Pair, after: int, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_ca("pki/ca", ca, NOW + timedelta(days=after))


def test_an_authority_with_thirty_days_left_passes() -> None:
    check_ca("pki/ca", CA, NOW + timedelta(days=3620))


@given(st.integers(min_value=0, max_value=3649 * 24))
def test_no_certificate_lasts_longer_than_a_year_or_than_its_authority(hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    certificate = read(issue(CA, SUBJECT, [SERVER], now))
    assert certificate.not_valid_before_utc == now - timedelta(minutes=10)
    assert now < certificate.not_valid_after_utc <= min(now + timedelta(days=365), read(CA).not_valid_after_utc)


@given(st.sets(st.ip_addresses().filter(lambda a: not getattr(a, "scope_id", None)).map(str), max_size=4))
def test_a_certificate_has_the_addresses_asked_for_and_no_other(addresses: set[str]) -> None:
    subject = Subject("m1", dns=("m1",), addresses=tuple(sorted(addresses)))
    extension = read(issue(CA, subject, [SERVER], NOW)).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {str(a) for a in extension.value.get_values_for_type(x509.IPAddress)} == addresses


def test_two_certificates_never_have_one_serial_number() -> None:
    numbers = [read(issue(CA, SUBJECT, [SERVER], NOW)).serial_number for _ in range(8)]
    assert len(set(numbers)) == len(numbers)
