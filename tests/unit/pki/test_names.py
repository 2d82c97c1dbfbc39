from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scaler.errors import InputError
from scaler.pki.certificates import CLIENT, SERVER, Pair, Subject, issue, new_ca
from scaler.pki.names import carried, check_leaf, missing

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CA = new_ca("prod-ca", NOW)
OTHER = new_ca("another", NOW)
WANTED = ("m2", "api.example.org", "10.0.0.2", "fd00::2")


def leaf(*names: str, authority: Pair = CA) -> Pair:
    dns = tuple(name for name in names if ":" not in name and not name[0].isdigit())
    return issue(authority, Subject("m2", dns=dns, addresses=tuple(set(names) - set(dns))), [SERVER, CLIENT], NOW)


def refused(pair: Pair, *, days: float = 1, authority: bytes = CA.certificate) -> str:
    with pytest.raises(InputError) as caught:
        check_leaf("hosts/m2/apiserver", pair, authority, WANTED, NOW + timedelta(days=days))
    assert caught.value.message.startswith("hosts/m2/apiserver: ")
    return caught.value.message


def test_names_and_addresses_of_both_versions_are_read() -> None:
    assert carried(leaf(*WANTED).certificate) == set(WANTED)


def test_a_certificate_without_alternative_names_carries_nothing() -> None:
    assert carried(leaf().certificate) == set()
    assert missing(leaf().certificate, WANTED) == list(WANTED)


def test_what_is_missing_is_told_in_the_order_in_which_it_is_wanted() -> None:
    assert missing(leaf("m2", "10.0.0.2").certificate, WANTED) == ["api.example.org", "fd00::2"]


@pytest.mark.parametrize("written", ["fd00::2", "fd00:0:0:0:0:0:0:2", "FD00::0002"])
def test_an_address_is_the_same_however_it_is_written(written: str) -> None:
    assert missing(leaf(*WANTED).certificate, [written]) == []


def test_an_address_that_stands_as_a_name_is_not_carried() -> None:
    pair = issue(CA, Subject("m2", dns=("m2",)), [SERVER], NOW)
    assert missing(pair.certificate, ["10.0.0.2"]) == ["10.0.0.2"]


def test_a_wildcard_is_a_name_of_its_own_and_no_other() -> None:
    assert missing(leaf("*.example.org").certificate, ["api.example.org"]) == ["api.example.org"]


def test_a_whole_certificate_is_taken() -> None:
    check_leaf("x", leaf(*WANTED), CA.certificate, WANTED, NOW)


def test_a_certificate_of_another_authority_is_refused() -> None:
    assert "not a certificate of this cluster's authority" in refused(leaf(*WANTED, authority=OTHER))


def test_a_key_of_another_certificate_is_refused() -> None:
    pair = Pair(leaf(*WANTED).certificate, leaf(*WANTED).key)
    assert "the key does not belong to the certificate" in refused(pair)


@pytest.mark.parametrize("days", [-1, 366])
def test_a_certificate_that_is_not_valid_now_is_refused(days: float) -> None:
    assert "not valid now" in refused(leaf(*WANTED), days=days)


def test_names_that_are_missing_are_told_all() -> None:
    assert refused(leaf("m2")).endswith("does not carry api.example.org, 10.0.0.2, fd00::2")


@pytest.mark.parametrize(
    "pair", [Pair(b"no PEM", leaf(*WANTED).key), Pair(leaf(*WANTED).certificate, b"no PEM"), Pair(b"", b"")]
)
def test_what_is_no_certificate_with_a_plain_key_is_refused(pair: Pair) -> None:
    assert "not a certificate of this cluster's authority with its plain key" in refused(pair)
