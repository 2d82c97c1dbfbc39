"""A real API server on loopback: etcd and kube-apiserver as plain processes, from the lab's own store."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2 as httpx

from scaler.gateways.store import cache_dir
from scaler.lab.binaries import architecture_here, fill
from tests.servers.base import ApiNodes
from tests.servers.tls import certificate, trusted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "token-of-the-tests"
_SECONDS = 60


@dataclass(frozen=True)
class ApiServer:
    """Where it is, the kubectl and the kubeconfig for it, and its Nodes."""

    url: str
    kubectl: Path
    kubeconfig: Path
    nodes: ApiNodes


@contextlib.contextmanager
def running(directory: Path) -> Iterator[ApiServer]:
    """Run an API server with its etcd in ``directory``; the store is filled first, which takes minutes once."""
    store, architecture = cache_dir() / "store", architecture_here()
    there = fill(store, progress=logging.getLogger(__name__).info)
    etcd = store / "etcd" / there["etcd"] / f"linux-{architecture}" / "etcd"
    binaries = store / "kubernetes" / there["kubernetes"] / f"linux-{architecture}"
    client, peer, secure = _ports(3)
    authority = _certificate(directory)
    argv = [
        *(str(etcd), f"--data-dir={directory / 'etcd'}", "--unsafe-no-fsync", "--log-level=error"),
        *(f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}"),
        *(f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
    ]
    (directory / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
    api = [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{client}",
        *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={secure}"),
        *(f"--tls-cert-file={directory / 'server.pem'}", f"--tls-private-key-file={directory / 'server.key'}"),
        *(
            f"--token-auth-file={directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.9.0.0/24",
        ),
        "--service-account-issuer=https://kubernetes.default",
        f"--service-account-key-file={directory / 'server.key'}",
        f"--service-account-signing-key-file={directory / 'server.key'}",
        "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        "--max-requests-inflight=400",
    ]
    url = f"https://127.0.0.1:{secure}"
    with _process(argv, directory / "etcd.log"), _process(api, directory / "api.log") as process:
        trust = ssl.create_default_context(cafile=str(authority))
        _must_answer(url, trust, process, directory / "api.log")
        yield ApiServer(url, binaries / "kubectl", _kubeconfig(directory, url, authority), ApiNodes(url, TOKEN, trust))


@contextlib.contextmanager
def _process(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _must_answer(url: str, trust: ssl.SSLContext, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(verify=trust, trust_env=False, headers=headers) as client:
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                ready = client.get(f"{url}/readyz").is_success
                # The Lease of runs lives there, and it is made a moment later.
                if ready and client.get(f"{url}/api/v1/namespaces/kube-system").is_success:
                    return
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-3000:])


def _ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return found


def _certificate(directory: Path) -> Path:
    """Write the server's certificate and key, which signs tokens too; return what clients are to trust."""
    certificate().private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    certificate().private_key_pem.write_to_path(str(directory / "server.key"))
    return trusted(directory / "roots.pem")


def _kubeconfig(directory: Path, url: str, authority: Path) -> Path:
    file = directory / "admin.kubeconfig"
    file.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: admin\n"
        "contexts: [{name: admin, context: {cluster: c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{url}', certificate-authority: '{authority}'}}}}]\n"
        f"users: [{{name: u, user: {{token: {TOKEN}}}}}]\n"
    )
    return file
