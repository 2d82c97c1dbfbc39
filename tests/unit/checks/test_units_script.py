from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scaler.checks import units
from scaler.errors import ScalerError
from scaler.gateways.ssh import Said
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host

M1 = host("m1", 1)


class Rooted:
    """A host that is this machine, its units those below a directory, and with no process that is not told."""

    def __init__(self, root: Path, pid: int = 0) -> None:
        self._root, self._pid = root, pid

    def run(self, _host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        assert argv[-1] == "-"
        for place in ("/etc/systemd/system", "/usr/lib/systemd/system", "/run/systemd/system"):
            stdin = stdin.replace(f'"{place}",', f'"{self._root}{place}",')
        stdin = stdin.replace("/proc/[0-9]*/cmdline", f"/proc/{self._pid}/cmdline")
        done = subprocess.run(
            [sys.executable, "-"], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A kubelet's unit of a package, with drop-ins of the administrator's, and its binary of version 1.30.4."""
    binary = written(tmp_path / "usr/bin/kubelet", "#!/bin/sh\necho Kubernetes v1.30.4\n")
    binary.chmod(0o755)
    written(tmp_path / "config.yaml", "kind: KubeletConfiguration\n")
    written(tmp_path / "usr/lib/systemd/system/kubelet.service", f"[Service]\nExecStart={binary}\n")
    written(
        tmp_path / "etc/systemd/system/kubelet.service.d/20-b.conf", f"[Service]\nEnvironmentFile=-{tmp_path}/env\n"
    )
    written(tmp_path / "etc/systemd/system/kubelet.service.d/10-a.conf", f"# --config={tmp_path}/config.yaml\n")
    written(tmp_path / "usr/lib/systemd/system/kubelet.service.d/10-a.conf", "# hidden by the administrator's\n")
    written(tmp_path / "env", "ARGS=--v=2\n")
    return tmp_path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def kubelet(root: Path, pid: int = 0) -> units.Unit:
    (unit,) = [unit for unit in units.look(Rooted(root, pid), M1).units if unit.component == "kubelet"]
    return unit


def test_a_unit_is_its_fragment_and_its_drop_ins_as_systemd_reads_them(root: Path) -> None:
    unit = kubelet(root)
    assert [file.path.removeprefix(str(root)) for file in unit.files] == [
        "/usr/lib/systemd/system/kubelet.service",
        "/etc/systemd/system/kubelet.service.d/10-a.conf",
        "/etc/systemd/system/kubelet.service.d/20-b.conf",
    ]
    assert unit.environment == {f"{root}/env": "ARGS=--v=2\n"}
    assert unit.configs == {f"{root}/config.yaml": "kind: KubeletConfiguration\n"}
    assert (unit.version, unit.running, unit.argv) == ("1.30.4", "", ())


def test_a_drop_in_that_is_masked_is_none(root: Path) -> None:
    masked = root / "etc/systemd/system/kubelet.service.d/10-a.conf"
    masked.unlink()
    masked.symlink_to("/dev/null")
    assert len(kubelet(root).files) == 2


def test_the_administrators_unit_comes_before_the_packages(root: Path) -> None:
    own = written(root / "etc/systemd/system/kubelet.service", "[Service]\nExecStart=/no/kubelet\n")
    assert kubelet(root).files[0].path == str(own)
    assert not kubelet(root).version


def test_drop_ins_of_a_prefix_count_too(root: Path) -> None:
    written(root / "etc/systemd/system/kube-proxy.service", "[Service]\n")
    written(root / "etc/systemd/system/kube-.service.d/50-x.conf", "[Service]\n")
    (proxy,) = [unit for unit in units.look(Rooted(root), M1).units if unit.component == "kube-proxy"]
    assert [Path(file.path).name for file in proxy.files] == ["kube-proxy.service", "50-x.conf"]


def test_a_process_without_a_unit_is_told_by_its_arguments(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["kube-scheduler", "-c", "read line", f"--config={tmp_path}/no.yaml"],
        executable="/bin/sh",
        stdin=subprocess.PIPE,
    )
    try:
        seen = units.look(Rooted(tmp_path, process.pid), M1)
        (unit,) = [unit for unit in seen.units if unit.component == "kube-scheduler"]
    finally:
        process.communicate(b"\n")
    assert (unit.files, unit.argv[-1], unit.configs) == ((), f"--config={tmp_path}/no.yaml", {})
    assert seen.machine.kernel == os.uname().release
    assert seen.machine.serving is Path("/var/lib/kubelet/pki/kubelet-server-current.pem").exists()


def test_a_running_binary_that_is_not_the_one_on_the_disk_is_told(root: Path) -> None:
    process = subprocess.Popen(["kubelet", "-c", "read line"], executable="/bin/sh", stdin=subprocess.PIPE)
    try:
        unit = kubelet(root, process.pid)
    finally:
        process.communicate(b"\n")
    # /bin/sh says no version of Kubernetes: what matters is that another program was asked.
    assert (unit.version, unit.running) == ("1.30.4", "")


class Saying:
    """A host whose Python says what it is told to."""

    def __init__(self, said: Said) -> None:
        self._said = said

    def run(self, _host: Host, _argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del stdin, timeout
        return self._said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said(127, "", "python3: not found\n"), "m1: its units could not be read: python3: not found"),
        (Said(0, "{}", ""), "m1: its units were told as nonsense"),
    ],
)
def test_a_host_that_does_not_tell_says_why(said: Said, message: str) -> None:
    with pytest.raises(ScalerError, match=message):
        units.look(Saying(said), M1)
