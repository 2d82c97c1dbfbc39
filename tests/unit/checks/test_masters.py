from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scaler.checks import masters
from scaler.checks.masters import MasterFacts, differences
from scaler.errors import ScalerError
from scaler.gateways.ssh import Said
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host

CA = "/etc/kubernetes/pki/ca.crt"


class Printing:
    """A host whose Python prints what it is told to."""

    def __init__(self, said: Said) -> None:
        self._said = said

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del host, timeout
        assert argv[-1] == "-"
        assert "glob" in stdin
        return self._said


class Here:
    """A host that is this machine with one process, since a lab's masters may run here too."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del host, argv
        assert "/proc/[0-9]*/cmdline" in stdin
        stdin = stdin.replace("/proc/[0-9]*/cmdline", f"/proc/{self._pid}/cmdline")
        done = subprocess.run(
            [sys.executable, "-"], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)


def facts(files: dict[str, str] | None = None, component: str = masters.APISERVER, **flags: str) -> MasterFacts:
    told = {name.replace("_", "-"): value for name, value in flags.items()}
    return MasterFacts(components={component: told}, files=files or {})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[int]:
    """Run a program that is called as an API server is, on this machine, and return its process' number."""
    (tmp_path / "ca.crt").write_text("an authority")
    program = tmp_path / "kube-apiserver"
    words = [
        "--etcd-servers=https://10.0.0.1:2379,https://10.0.0.2:2379",
        f"--client-ca-file={tmp_path}/ca.crt",
        "--allow-privileged",
        "--v",
        "2",
        "--feature-gates=A=true",
        "--feature-gates=B=true",
    ]
    process = subprocess.Popen([str(program), "-c", "read line", *words], executable="/bin/sh", stdin=subprocess.PIPE)
    yield process.pid
    process.communicate(b"\n")


def test_the_flags_of_what_really_runs_and_the_digests_of_its_files_are_told(running: int, tmp_path: Path) -> None:
    told = masters.look(Here(running), host("m1", 1))
    flags = told.components["kube-apiserver"]
    assert flags["allow-privileged"] == "true"
    assert flags["v"] == "2"
    assert flags["feature-gates"] == "A=true,B=true"
    assert told.etcd_servers == ("https://10.0.0.1:2379", "https://10.0.0.2:2379")
    assert told.files == {str(tmp_path / "ca.crt"): hashlib.sha256(b"an authority").hexdigest()}


def test_a_machine_without_a_control_plane_runs_nothing() -> None:
    assert masters.look(Printing(Said(0, '{"components": {}, "files": {}}', "")), host("m1", 1)).etcd_servers == ()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said(127, "", "sh: 1: python3: not found\n"), "m1: its components could not be looked at: sh: 1: python3"),
        (Said(1, "", ""), "m1: its components could not be looked at: no output"),
        (Said(0, "Welcome!", ""), "m1: its components told nonsense"),
        (Said(0, json.dumps({"components": []}), ""), "m1: its components told nonsense"),
    ],
)
def test_a_host_that_cannot_tell_is_named(said: Said, told: str) -> None:
    with pytest.raises(ScalerError) as caught:
        masters.look(Printing(said), host("m1", 1))
    assert caught.value.message.startswith(told)


def test_masters_that_run_alike_differ_in_nothing() -> None:
    assert list(differences(facts({CA: "a"}, client_ca_file=CA), facts({CA: "a"}, client_ca_file=CA))) == []


@pytest.mark.parametrize("flag", sorted(masters.OWN_FLAGS))
def test_what_is_a_masters_own_is_no_difference(flag: str) -> None:
    one, other = (facts(None, masters.APISERVER, **{flag: where}) for where in ("here", "there"))
    assert list(differences(one, other)) == []


@pytest.mark.parametrize("component", list(masters.SHARED_FILES))
def test_a_shared_file_is_compared_by_its_content_wherever_it_is(component: str) -> None:
    for flag in masters.SHARED_FILES[component]:
        one = facts({"/a": "1" * 64}, component, **{flag: "/a"})
        same, other = (facts({"/b": digit * 64}, component, **{flag: "/b"}) for digit in "12")
        assert list(differences(one, same)) == []
        assert list(differences(one, other)) == [
            f"{component} --{flag}: another file ({'1' * 16} here, {'2' * 16} there)"
        ]


def test_a_shared_file_that_one_master_has_not_is_told() -> None:
    told = list(differences(facts({CA: "1" * 64}, client_ca_file=CA), facts()))
    assert told == [f"kube-apiserver --client-ca-file: another file ({'1' * 16} here, none there)"]


def test_a_flag_with_another_value_is_told_with_both() -> None:
    told = list(differences(facts(service_cluster_ip_range="10.96.0.0/16"), facts(feature_gates="X=true")))
    assert told == [
        "kube-apiserver --feature-gates: not set here, X=true there",
        "kube-apiserver --service-cluster-ip-range: 10.96.0.0/16 here, not set there",
    ]


def test_a_component_that_only_one_of_them_runs_is_not_compared() -> None:
    assert list(differences(facts(a="1"), facts(None, "kube-scheduler", a="2"))) == []
