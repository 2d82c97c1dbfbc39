"""The Kubernetes API through the cluster's own kubectl: JSON in, JSON out.

kubectl, since drain, apply and exec have their logic there; its version is the cluster's, so it always fits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways import forward
from scaler.gateways.process import Completed, ProcessError, run
from scaler.gateways.threads import Threads
from scaler.model.state import ClusterState, Csr, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# kubectl would otherwise send requests for a cluster's network through the operator's proxy.
WITHOUT_PROXY = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "KUBECONFIG"), "")
JsonObject = dict[str, Any]
_FORWARD_SECONDS = 20.0
_UNREACHABLE = (
    "Unable to connect",
    "was refused",
    "i/o timeout",
    "no route to host",
    "TLS handshake timeout",
    "EOF",
    'on the server ("")',  # a load balancer that closed the connection without an answer
    "currently unable to handle the request",
    "was unable to return a response in the time allotted",
)
# What an API server says while etcd behind it has no leader (etcd's api/v3rpc/rpctypes/error.go); whether a write was
# done nobody knows then, so it is no refusal.
_NO_ETCD = ("etcdserver: request timed out", "etcdserver: no leader", "etcdserver: leader changed")


class KubeError(ScalerError):
    """The API server refused a request."""

    kind = "kube"


class Kube(Protocol):
    """What the steps know of the API."""

    def at(self, server: str) -> Kube:
        """Return the API as the server at HOST:PORT gives it, without a load balancer."""

    def call(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 30) -> str:
        """Run kubectl with ``argv``; return its standard output."""

    def get(self, kind: str, names: Iterable[str] = (), *, namespace: str = "") -> list[JsonObject]:
        """Return objects of ``kind``, all or those named; a missing one is left out."""

    def create(self, objects: Iterable[JsonObject], *, apply: bool = False) -> None:
        """Create (or apply) ``objects`` in one request of kubectl's."""

    def delete(self, kind: str, names: Iterable[str], *, namespace: str = "", wait: bool = False) -> None:
        """Delete objects; what is not there is no error."""

    def fetch_forwarded(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        """Return what an HTTP server in a pod answers, through kubectl port-forward."""


class Kubectl:
    """kubectl with one kubeconfig, against one server."""

    def __init__(self, binary: Path, kubeconfig: Path, cache: Path, server: str = "") -> None:
        self._made_of = (binary, kubeconfig, cache)
        self._argv = [str(binary), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", "--request-timeout=20s"]
        if server:
            self._argv.append(f"--server=https://{server}")

    def at(self, server: str) -> Kubectl:
        """Return the API as the server at HOST:PORT gives it, without a load balancer."""
        return Kubectl(*self._made_of, server=server)

    def call(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 30) -> str:
        """Run kubectl with ``argv``; raises UnreachableError or KubeError with the server's own words."""
        try:
            return run([*self._argv, *argv], stdin=stdin, timeout=timeout, env=WITHOUT_PROXY).out
        except ProcessError as e:
            raise _refusal(argv, e.completed, e) from e

    def get(self, kind: str, names: Iterable[str] = (), *, namespace: str = "") -> list[JsonObject]:
        """Return objects of ``kind``, all or those named; a missing one is left out."""
        where = ["-n", namespace] if namespace else []
        out = self._read(["get", kind, *names, *where, "--ignore-not-found", "-o", "json"])
        if not out.strip():
            return []
        told: JsonObject = json.loads(out)
        return list(told["items"]) if told["kind"].endswith("List") else [told]

    @retry(
        # A read may be repeated; a load balancer that just moved is no reason to take a join back.
        retry=retry_if_exception_type(UnreachableError),
        stop=stop_after_attempt(4),
        wait=wait_fixed(1),
        reraise=True,
    )
    def _read(self, argv: Sequence[str]) -> str:
        return self.call(argv)

    def create(self, objects: Iterable[JsonObject], *, apply: bool = False) -> None:
        """Create (or apply) ``objects`` in one request of kubectl's."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        # The server checks what is created; kubectl's own check would first fetch the whole API description.
        verb = ["apply"] if apply else ["create", "--validate=false"]
        self.call([*verb, "-f", "-", "-o", "name"], stdin=document)

    def delete(self, kind: str, names: Iterable[str], *, namespace: str = "", wait: bool = False) -> None:
        """Delete objects; what is not there is no error."""
        named = list(names)
        if named:
            where = ["-n", namespace] if namespace else []
            self.call(["delete", kind, *named, *where, "--ignore-not-found", f"--wait={str(wait).lower()}"])

    def fetch_forwarded(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        """Return what an HTTP server in a pod answers, through kubectl port-forward."""
        argv = [*self._argv, "port-forward", "-n", namespace, f"pod/{pod}", f":{port}", "--address=127.0.0.1"]
        return forward.fetch(argv, path, timeout=_FORWARD_SECONDS, env=WITHOUT_PROXY)


def _refusal(argv: Sequence[str], completed: Completed | None, error: ProcessError) -> ScalerError:
    said = (completed.err.strip() if completed else "") or error.message
    if any(sign in said for sign in _NO_ETCD):
        return UnreachableError(
            f"the API server has no answer from etcd: {said}",
            hint="see `scaler status`: more than half of etcd's voters must run and reach each other",
        )
    if any(sign in said for sign in _UNREACHABLE) or completed is None:
        return UnreachableError(
            f"the API server does not answer: {said}", hint="check the load balancer and the masters"
        )
    return KubeError(f"kubectl {' '.join(argv[:2])}: {said}")


def nodes(kube: Kube, names: Iterable[str] = ()) -> list[Node]:
    """Return Nodes, all or those named."""
    return [Node.model_validate(told) for told in kube.get("nodes", names)]


def labelled(kube: Kube, label: str, value: str) -> list[Node]:
    """Return the Nodes whose ``label`` has this ``value``."""
    told = json.loads(kube.call(["get", "nodes", "-l", f"{label}={value}", "-o", "json"]))
    return [Node.model_validate(each) for each in told["items"]]


def csrs(kube: Kube) -> list[Csr]:
    """Return every CertificateSigningRequest."""
    return [Csr.model_validate(told) for told in kube.get("certificatesigningrequests.v1.certificates.k8s.io")]


def look(kube: Kube) -> ClusterState:
    """Read what a plan is made from."""
    with Threads(2) as pool:
        all_nodes, all_csrs = pool.submit(nodes, kube), pool.submit(csrs, kube)
        version = json.loads(kube.call(["version", "-o", "json"]))["serverVersion"]["gitVersion"]
        return ClusterState(
            server_version=version.removeprefix("v"),
            nodes=tuple(all_nodes.result()),
            pending_csrs=tuple(csr.metadata.name for csr in all_csrs.result() if csr.pending),
        )
