from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaler.gateways.playbooks import HostRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scaler.model.inventory import Host

UNITS = {
    "worker_install.yml": {"containerd.service", "kubelet.service", "kube-proxy.service"},
    "master_install.yml": {"etcd.service", "kube-apiserver.service"},
    "loadbalancer_install.yml": {"haproxy.service"},
}
_FILES = ("ca_certificate", "kubelet_bootstrap_kubeconfig", "kube_proxy_kubeconfig")


@dataclass
class Placed:
    """What playbooks left on one host."""

    units: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)


class FakePlaybooks:
    """Records each host's files and units; ``fails`` and ``fail`` tell why one does not go through.

    ``programs`` do what a playbook does where more than that is wanted: they return why it did not go through.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Placed] = {}
        self.fails: dict[tuple[str, str], str] = {}
        self.fail: Callable[[str, str], str] = lambda _playbook, _host: ""
        self.installed: list[Callable[[str, str], None]] = []
        self.programs: dict[str, Callable[[Host, dict[str, Any], bool], str]] = {}

    def run(
        self,
        playbook: str,
        hosts: Iterable[Host],
        variables: Mapping[str, Any],
        *,
        group: str,
        host_variables: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[str], None] | None = None,
        check: bool = False,
    ) -> dict[str, HostRun]:
        del group
        done = {}
        for host in hosts:
            if progress:
                progress(f"{host.name}: {playbook}")
            own = dict((host_variables or {}).get(host.name, {}))
            why = self.fails.get((playbook, host.name), "") or self.fail(playbook, host.name)
            if not why and playbook in self.programs:
                why = self.programs[playbook](host, {**variables, **own}, check)
            elif not why and not check:
                self._place(playbook, host.name, {**variables, **own})
            done[host.name] = HostRun(changed=not why, failure=why, results={playbook: {"payload_bytes": 10}})
        return done

    def _place(self, playbook: str, name: str, variables: dict[str, Any]) -> None:
        if playbook.endswith("_remove.yml"):
            self.hosts.pop(name, None)
            return
        placed = self.hosts.setdefault(name, Placed())
        placed.units |= UNITS[playbook]
        placed.variables.update(variables)
        for key in _FILES:
            if variables.get(key):
                placed.files[key] = Path(variables[key]).read_text(encoding="utf-8")
        for tell in self.installed:
            tell(playbook, name)
