from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest

from scaler.errors import LabError
from scaler.lab import record
from scaler.lab.layout import Lab
from scaler.lab.record import Record

if TYPE_CHECKING:
    from pathlib import Path


def make(tmp_path: Path) -> Record:
    return Record(subnet=IPv4Network("10.213.0.0/24"), base=tmp_path, disk_bytes=1 << 30)


def test_a_host_keeps_its_address_when_others_come(tmp_path: Path) -> None:
    first = make(tmp_path).with_hosts(["m1", "w1"])
    second = first.with_hosts(["w2", "m1"])
    assert second.hosts[:2] == first.hosts
    assert [(host.name, str(host.address)) for host in second.hosts][2:] == [("w2", "10.213.0.4")]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    lab = Lab("dev", tmp_path)
    written = make(tmp_path).with_hosts(["m1", "w1"])
    record.save(lab, written)
    assert record.load(lab) == written


def test_no_record_is_no_lab(tmp_path: Path) -> None:
    assert record.load(Lab("dev", tmp_path)) is None


def test_a_spoilt_record_is_named(tmp_path: Path) -> None:
    lab = Lab("dev", tmp_path)
    lab.root.mkdir()
    lab.record.write_text("{")
    with pytest.raises(LabError, match=r"lab\.json"):
        record.load(lab)
