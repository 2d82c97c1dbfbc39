from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scaler.gateways.process import run
from scaler.lab import binaries
from scaler.lab.binaries import component_files, fill, present
from scaler.lab.leaf import publish

pytestmark = pytest.mark.skipif(shutil.which("dpkg") is None, reason="the lab's store is Debian's")


def full_store(store: Path) -> str:
    architecture = run(["dpkg", "--print-architecture"]).out.strip()
    for component, files in component_files().items():
        with publish(store / component / "v1.2.3" / f"linux-{architecture}") as leaf:
            for file in files:
                (leaf / file).touch()
    return architecture


def refuse(line: str) -> None:
    pytest.fail(f"nothing was to be done, yet: {line}")


def test_a_full_store_is_told_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    full_store(tmp_path / "store")
    found = fill(tmp_path / "store", progress=refuse)
    assert found == dict.fromkeys(["etcd", "containerd", "runc", "cni-plugins", "images", "kubernetes"], "v1.2.3")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_component_without_sums_is_not_present(tmp_path: Path) -> None:
    architecture = full_store(tmp_path)
    (tmp_path / "runc" / "v1.2.3" / f"linux-{architecture}" / "SHA256SUMS").unlink()
    assert "runc" not in present(tmp_path, architecture)


def test_kubernetes_has_its_six_binaries() -> None:
    assert component_files()["kubernetes"] == [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubectl",
        "kubelet",
    ]


def test_no_mirror_stands_in_the_code() -> None:
    code = "".join(path.read_text() for path in Path(binaries.__file__).parent.rglob("*.py"))
    assert "debian.org" not in code
