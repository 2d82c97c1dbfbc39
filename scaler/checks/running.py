"""What runs on a host of the control plane, and until when its certificates are good: one command that only reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scaler.checks import asked
from scaler.checks.masters import APISERVER
from scaler.gateways.etcd import PKI
from scaler.model.base import Value

if TYPE_CHECKING:
    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host

SECONDS = 9.0


class Running(Value):
    """The components with their arguments, certificates (PEM) by where each was seen, etcd's quota in bytes or 0."""

    components: dict[str, tuple[str, ...]]
    certificates: dict[str, tuple[str, ...]]
    quota: int = 0
    proxy_mode: str = ""
    proxy_scheduler: str = ""
    proxy_version: str = ""

    @property
    def etcd_servers(self) -> tuple[str, ...] | None:
        """The members of etcd that the running API server knows, None where none runs."""
        argv = self.components.get(APISERVER)
        if argv is None:
            return None
        lists = [word.partition("=")[2] for word in argv if word.startswith("--etcd-servers=")]
        lists += [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == "--etcd-servers"]
        return tuple(url for told in lists for url in told.split(",") if url)


def look(ssh: Ssh, host: Host, *, etcd: bool) -> Running:
    """Return what runs on ``host``; with ``etcd`` its member is asked for the certificate it shows."""
    what = {"etcd": [f"{PKI}/server.crt", f"{PKI}/server.key"] if etcd else []}
    return asked.told(
        ssh,
        host,
        ["-c", asked.script("running_script.py"), json.dumps(what)],
        Running,
        failed="what runs there could not be looked at",
        nonsense="what runs there was told as nonsense",
        timeout=SECONDS,
    )
