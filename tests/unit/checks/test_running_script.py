from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from scaler.checks import running
from scaler.errors import ScalerError
from scaler.gateways.ssh import Said
from scaler.pki.certificates import Subject, issue, new_ca
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host

NOW = datetime.now(UTC)
M1 = host("m1", 1)


class Here:
    """A host that is this machine."""

    def run(self, _host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        done = subprocess.run(
            [sys.executable, *argv[1:]], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Path]:
    """A process called kube-scheduler whose configuration names a kubeconfig, whose certificate is inline."""
    ca = new_ca("kubernetes", NOW)
    pair = issue(ca, Subject("system:kube-scheduler"), [], NOW)
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    (tmp_path / "own.pem").write_bytes(pair.certificate + pair.key)
    data = base64.b64encode(pair.certificate).decode()
    kubeconfig = f"users: [{{user: {{client-certificate-data: {data}}}}}]\n"
    (tmp_path / "scheduler.kubeconfig").write_text(kubeconfig)
    (tmp_path / "config.yaml").write_text(f"clientConnection:\n  kubeconfig: {tmp_path}/scheduler.kubeconfig\n")
    words = [f"--config={tmp_path}/config.yaml", f"--tls-cert-file={tmp_path}/own.pem", f"--ca={tmp_path}/ca.crt"]
    script = "import sys; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        ["kube-scheduler", "-c", script, *words],
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    yield tmp_path
    process.communicate()


def test_certificates_are_found_where_components_name_them_and_no_key_goes_out(scheduler: Path) -> None:
    seen = running.look(Here(), M1, etcd=False)
    mine = {path: pems for path, pems in seen.certificates.items() if path.startswith(str(scheduler))}
    assert set(mine) == {f"{scheduler}/{name}" for name in ("ca.crt", "own.pem", "scheduler.kubeconfig")}
    assert mine[f"{scheduler}/own.pem"] == mine[f"{scheduler}/scheduler.kubeconfig"]
    assert "PRIVATE KEY" not in seen.model_dump_json()
    assert seen.components["kube-scheduler"][0].endswith("kube-scheduler")


@pytest.mark.parametrize(
    "word", [["--etcd-servers=https://a:2379,https://b:2379"], ["--etcd-servers", "https://a:2379,https://b:2379"]]
)
def test_the_etcd_list_is_that_of_the_process(word: list[str]) -> None:
    seen = running.Running(components={"kube-apiserver": ("kube-apiserver", *word)}, certificates={})
    assert seen.etcd_servers == ("https://a:2379", "https://b:2379")


def test_without_an_api_server_there_is_no_list() -> None:
    assert running.Running(components={}, certificates={}).etcd_servers is None


class Broken:
    """A host whose Python says something else."""

    def __init__(self, said: Said) -> None:
        self._said = said

    def run(self, _host: Host, _argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del stdin, timeout
        return self._said


@pytest.mark.parametrize(
    ("said", "why"),
    [(Said(1, "", "Traceback\nSyntaxError: old"), "SyntaxError: old"), (Said(0, "{}", ""), "nonsense")],
)
def test_a_host_that_cannot_tell_is_an_error(said: Said, why: str) -> None:
    with pytest.raises(ScalerError, match=why):
        running.look(Broken(said), M1, etcd=False)
