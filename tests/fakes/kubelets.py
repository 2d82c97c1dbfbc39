from __future__ import annotations

import base64
import ipaddress
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from scaler.gateways.ssh import Said
from scaler.pki.approval import CLIENT_SIGNER, SERVING_SIGNER
from scaler.pki.certificates import new_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.model.inventory import Host
    from tests.fakes.kube import FakeKube
    from tests.fakes.playbooks import FakePlaybooks
    from tests.fakes.ssh import FakeSsh

KEY = new_key()
CLIENT_USAGES = ("digital signature", "key encipherment", "client auth")
SERVING_USAGES = ("digital signature", "key encipherment", "server auth")
_BOOTSTRAP = "kubelet_bootstrap_kubeconfig"
GROUP = "system:bootstrappers:scaler"


def request(
    names: Sequence[str], organizations: Sequence[str] = ("system:nodes",), san: Sequence[x509.GeneralName] = ()
) -> str:
    """Return a signing request as the API carries it: base64 of PEM."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    parts += [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return base64.b64encode(builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()


def client_spec(name: str, token: str) -> dict[str, Any]:
    """Return what a kubelet with a bootstrap token asks for."""
    return {
        "request": request([f"system:node:{name}"]),
        "signerName": CLIENT_SIGNER,
        "username": f"system:bootstrap:{token}",
        "groups": ["system:bootstrappers", GROUP, "system:authenticated"],
        "usages": list(CLIENT_USAGES),
    }


def serving_spec(name: str, address: str) -> dict[str, Any]:
    """Return what a kubelet asks for to serve with."""
    san = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
    return {
        "request": request([f"system:node:{name}"], san=san),
        "signerName": SERVING_SIGNER,
        "username": f"system:node:{name}",
        "groups": ["system:nodes", "system:authenticated"],
        "usages": list(SERVING_USAGES),
    }


class FakeKubelets:
    """Kubelets that start with worker_install, ask for certificates, and report Ready with both.

    ``ready`` tells, for a host and the seconds since it has both certificates, whether it is Ready; ``why`` is what
    it says where it does not. ``client`` and ``serving`` make the requests that each of them sends.
    """

    def __init__(self, kube: FakeKube, ssh: FakeSsh, playbooks: FakePlaybooks, hosts: Sequence[Host]) -> None:
        self._kube, self._playbooks = kube, playbooks
        self._addresses = {host.name: host.address for host in hosts}
        self._certified = {host.name: threading.Event() for host in hosts}
        self._since: dict[str, float] = {}
        self.ready: Callable[[str, float], bool] = lambda _name, _seconds: True
        self.why = "container runtime is down"
        self.client: Callable[[str, str], dict[str, Any]] = client_spec
        self.serving: Callable[[str, str], dict[str, Any]] = serving_spec
        playbooks.installed.append(self._installed)
        kube.on_approved.append(self._approved)
        kube.before_get.append(self._report)
        for host in hosts:
            ssh.machines[host.name].restarted = partial(self._restarted, host.name)

    def start(self, name: str, token: str) -> None:
        """Start a kubelet that has a bootstrap token."""
        self._kube.submit(f"csr-{name}-client", **self.client(name, token))

    def _installed(self, playbook: str, name: str) -> None:
        if playbook == "worker_install.yml":
            found = re.search(r"([a-z0-9]{6})\.[a-z0-9]{16}", self._playbooks.hosts[name].files[_BOOTSTRAP])
            assert found
            self.start(name, found[1])

    def _approved(self, csr: dict[str, Any]) -> None:
        name, _, what = csr["metadata"]["name"].removeprefix("csr-").rpartition("-")
        if what == "client" and csr["status"].get("certificate"):
            self._certified[name].set()
        elif what == "serving":
            self._since[name] = self._kube.clock.monotonic()

    def _restarted(self, name: str) -> Said:
        """Wait as the script on the host does; the time passes elsewhere."""
        deadline = self._kube.clock.monotonic() + 60
        while not self._certified[name].wait(0.001):
            if self._kube.clock.monotonic() > deadline:
                return Said(3, "", "")
        self._kube.submit(f"csr-{name}-serving", **self.serving(name, self._addresses[name]))
        return Said(0, "", "")

    def _report(self) -> None:
        now = self._kube.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for name in self._addresses:
            node = self._kube.of("Node").get(name)
            if node is None or not self._certified[name].is_set():
                continue
            since = self._since.get(name)
            ready = since is not None and self.ready(name, self._kube.clock.monotonic() - since)
            node["status"]["conditions"] = [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "message": "it is well" if ready else self.why,
                    "lastHeartbeatTime": now,
                }
            ]
