"""How a master's components run, and what may not differ between the masters of one cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks import asked
from scaler.model.base import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host

APISERVER = "kube-apiserver"
# Files that are one and the same on all masters, by the flag that names them: compared by digest.
SHARED_FILES = {
    APISERVER: (
        "client-ca-file",
        "encryption-provider-config",
        "etcd-cafile",
        "kubelet-certificate-authority",
        "requestheader-client-ca-file",
        "service-account-key-file",
        "service-account-signing-key-file",
    ),
    "kube-controller-manager": (
        "cluster-signing-cert-file",
        "cluster-signing-key-file",
        "root-ca-file",
        "service-account-private-key-file",
    ),
}
# Flags that are a master's own, and flags that change nothing a client can see.
OWN_FLAGS = frozenset(
    {
        "advertise-address",
        "authentication-kubeconfig",
        "authorization-kubeconfig",
        "audit-log-maxage",
        "audit-log-maxbackup",
        "audit-log-maxsize",
        "audit-log-path",
        "audit-policy-file",
        "bind-address",
        "etcd-certfile",
        "etcd-keyfile",
        "etcd-servers",
        "kubeconfig",
        "kubelet-client-certificate",
        "kubelet-client-key",
        "log-dir",
        "logging-format",
        "profiling",
        "proxy-client-cert-file",
        "proxy-client-key-file",
        "shutdown-delay-duration",
        "tls-cert-file",
        "tls-private-key-file",
        "v",
    }
)


class MasterFacts(Value):
    """The flags of each component that runs on one master, and the SHA-256 of every file they name."""

    components: dict[str, dict[str, str]]
    files: dict[str, str]

    @property
    def etcd_servers(self) -> tuple[str, ...]:
        """The members of etcd that the running API server knows."""
        told = self.components.get(APISERVER, {}).get("etcd-servers", "")
        return tuple(url for url in told.split(",") if url)


def look(ssh: Ssh, host: Host) -> MasterFacts:
    """Return how the components of ``host`` run."""
    return asked.told(
        ssh,
        host,
        ["-"],
        MasterFacts,
        failed="its components could not be looked at",
        nonsense="its components told nonsense",
        stdin=asked.script("master_script.py"),
    )


def differences(one: MasterFacts, other: MasterFacts) -> Iterator[str]:
    """Tell, a sentence each that begins with the component, what differs between two masters and must not."""
    for component in sorted(set(one.components) & set(other.components)):
        mine, theirs = one.components[component], other.components[component]
        shared = SHARED_FILES.get(component, ())
        for flag in shared:
            a, b = _digest(one, mine.get(flag, "")), _digest(other, theirs.get(flag, ""))
            if a != b:
                yield f"{component} --{flag}: another file ({a or 'none'} here, {b or 'none'} there)"
        for flag in sorted((set(mine) | set(theirs)) - OWN_FLAGS - set(shared)):
            if mine.get(flag) != theirs.get(flag):
                yield f"{component} --{flag}: {mine.get(flag, 'not set')} here, {theirs.get(flag, 'not set')} there"


def _digest(facts: MasterFacts, path: str) -> str:
    return facts.files.get(path, path)[:16]
