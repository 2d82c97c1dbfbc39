from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from scaler.errors import LabError
from scaler.lab.layout import Lab, place

SUBNET = IPv4Network("10.213.4.0/24")


@pytest.mark.parametrize("name", ["dev", "labtest", "a-lab-with-quite-a-long-name"])
def test_names_of_links_fit_the_kernel(name: str) -> None:
    lab = Lab(name)
    last = place("w252", SUBNET, 252)
    assert len(lab.bridge) <= 15
    assert len(lab.link(last)) <= 15


def test_long_names_that_begin_alike_get_different_bridges() -> None:
    assert Lab("production-a").bridge != Lab("production-b").bridge


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-a", "a" * 33, "a b"])
def test_a_name_that_is_no_directory_and_host_name_is_refused(name: str) -> None:
    with pytest.raises(LabError):
        Lab(name)


def test_the_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCALER_LAB_DIR", str(tmp_path))
    assert Lab("dev").root == tmp_path / "dev"
    monkeypatch.delenv("SCALER_LAB_DIR")
    assert Lab("dev").root == Path("/var/lib/scaler-lab/dev")


def test_the_first_host_stands_beside_the_bridge() -> None:
    host = place("m1", SUBNET, 0)
    assert (host.address, host.mac) == (IPv4Address("10.213.4.2"), "02:5c:0a:d5:04:02")


def test_a_subnet_has_room_for_253_hosts() -> None:
    assert place("w", SUBNET, 252).address == IPv4Address("10.213.4.254")
    with pytest.raises(LabError, match="no address left"):
        place("w", SUBNET, 253)
