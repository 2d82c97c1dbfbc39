from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from scaler.lab.leaf import SUMS, is_complete, newest, publish, sums

if TYPE_CHECKING:
    from pathlib import Path


def filled(leaf: Path, *names: str) -> Path:
    with publish(leaf) as fresh:
        for name in names:
            (fresh / name).write_text(name)
    return leaf


def test_sums_are_written_as_coreutils_does_and_sorted() -> None:
    assert sums({"etcdctl": "bb", "etcd": "aa"}) == "aa  etcd\nbb  etcdctl\n"


def test_a_published_leaf_has_the_digest_of_each_file(tmp_path: Path) -> None:
    leaf = filled(tmp_path / "etcd" / "v3.4.23" / "linux-amd64", "etcd")
    assert (leaf / SUMS).read_text() == f"{hashlib.sha256(b'etcd').hexdigest()}  etcd\n"
    assert is_complete(leaf, ["etcd"])


def test_a_published_leaf_can_be_read_by_everybody(tmp_path: Path) -> None:
    assert filled(tmp_path / "leaf", "etcd").stat().st_mode & 0o777 == 0o755


def test_a_leaf_without_sums_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "etcd").touch()
    assert not is_complete(tmp_path)


def test_a_leaf_that_lost_a_file_is_not_complete(tmp_path: Path) -> None:
    leaf = filled(tmp_path / "leaf", "etcd", "etcdctl")
    (leaf / "etcd").unlink()
    assert not is_complete(leaf)


def test_a_leaf_without_a_wanted_file_is_not_complete(tmp_path: Path) -> None:
    assert not is_complete(filled(tmp_path / "leaf", "etcd"), ["etcd", "etcdctl"])


def test_a_leaf_that_failed_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with publish(tmp_path / "leaf") as fresh:
            (fresh / "etcd").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_leaf_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "leaf").mkdir()
    (tmp_path / "leaf" / "half").touch()
    leaf = filled(tmp_path / "leaf", "etcd")
    assert sorted(path.name for path in leaf.iterdir()) == [SUMS, "etcd"]


def test_the_newest_complete_version_counts(tmp_path: Path) -> None:
    for version in ("v1.6.9", "v1.6.20"):
        filled(tmp_path / version / "linux-amd64", "containerd")
    (tmp_path / "v1.7.0" / "linux-amd64").mkdir(parents=True)
    assert newest(tmp_path, "amd64", ["containerd"]) == "v1.6.20"
    assert newest(tmp_path, "arm64", ["containerd"]) is None
