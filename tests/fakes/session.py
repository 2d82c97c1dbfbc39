from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from scaler.app.session import Session
from scaler.checks.preflight import disk, kernel
from scaler.model.network import MODULES, PROGRAMS
from tests.fakes.etcd import FakeMemberDoor
from tests.fakes.kubelets import FakeKubelets
from tests.fakes.ssh import FakeMachine
from tests.fakes.world import Fakes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from scaler.gateways.etcd import Etcd, Etcdctl
    from scaler.gateways.kube import Kubectl
    from scaler.gateways.store import Binary, Store
    from scaler.model.inventory import Host


def facts(host: Host, **more: Any) -> dict[str, Any]:
    """Return what the probe of a fit host tells, but for its time."""
    number = host.address.rpartition(".")[2]
    told: dict[str, Any] = {
        "hostname": host.name,
        "machine_id": f"machine-{host.name}",
        "product_uuid": f"uuid-{host.name}",
        "boot_id": f"boot-{host.name}",
        "macs": [f"02:00:00:00:00:{int(number):02x}"],
        "addresses": ["127.0.0.1", host.address],
        "arch": "x86_64",
        "os_id": "debian",
        "os_version": "12",
        "kernel": "6.1.0",
        "python": "3.11.2",
        "systemd": True,
        "cgroup": 2,
        "controllers": sorted(kernel.CONTROLLERS[2]),
        "swaps": [],
        "filesystems": ["ext4", "overlay"],
        "sysctls": dict.fromkeys(kernel.SYSCTLS, "1"),
        "listeners": [],
        "spaces": [{"path": path, "free": 1 << 40, "writable": True} for path in disk.NEEDED],
        "leftovers": [],
        "ca_digest": "",
        "receipt": {},
        "containerd": "1.6.20~ds1",
        "routes": ["default", "10.0.0.0/24"],
        "reach": [],
        "resolv_conf": True,
        "modules": dict.fromkeys(MODULES, "there"),
        "programs": list(PROGRAMS),
        "links": [
            {"name": "lo", "mtu": 65536, "addresses": ["127.0.0.1/8"]},
            {"name": "eth0", "mtu": 1500, "addresses": [f"{host.address}/24"]},
        ],
    }
    return {**told, **more}


class VerifiedStore:
    """A store that has everything; its kubelet says the version it is told to say."""

    def __init__(self, directory: Path, kubelet_says: str) -> None:
        self.root = directory
        self.error: Exception | None = None
        self._kubelet = directory / "kubelet"
        self._kubelet.write_text(f"#!/bin/sh\necho '{kubelet_says}'\n", encoding="utf-8")
        self._kubelet.chmod(0o755)

    def verify(self, binaries: Iterable[Binary], progress: Callable[[str], None]) -> None:
        del binaries, progress
        if self.error:
            raise self.error

    def path(self, binary: Binary) -> Path:
        del binary
        return self._kubelet


class FakeSession(Session):
    """A session whose doors lead to fakes, with kubelets that join."""

    fakes: Fakes
    kubelets: FakeKubelets

    @property
    def kube(self) -> Kubectl:
        return cast("Kubectl", self.fakes.kube)

    @property
    def etcd(self) -> Etcdctl:
        return cast("Etcdctl", self.fakes.etcd)

    def etcd_on(self, host: Host) -> Etcd:
        return FakeMemberDoor(self.fakes.etcd, host.address)

    def certificate_at(self, address: str, port: int) -> str:
        return self.fakes.shown(address, port)


class Opened:
    """The doors that are open already."""

    def __init__(self, made: FakeSession) -> None:
        self._made = made

    def __enter__(self) -> FakeSession:
        return self._made

    def __exit__(self, *_: object) -> None:
        pass


def session(directory: Path, new: Sequence[Host], **more: Any) -> FakeSession:
    """Return a session with a cluster of one master and one old worker, and fit machines for ``new``."""
    fakes = Fakes(directory, new, **more)
    for each in new:
        fakes.ssh.machines[each.name].facts = facts(each)
    fakes.kube.add_node("m1", address="10.0.0.1", cidr="10.244.100.0/24")
    fakes.kube.add_node("w1", address="10.0.0.2", cidr="10.244.101.0/24")
    fakes.ssh.machines |= {name: FakeMachine({}) for name in ("m1", "w1") if name not in fakes.ssh.machines}
    made = FakeSession(
        cluster=fakes.world.cluster,
        ssh=cast("Any", fakes.ssh),
        playbooks=cast("Any", fakes.playbooks),
        store=cast("Store", VerifiedStore(directory, f"Kubernetes v{fakes.world.cluster.settings.kubernetes_version}")),
        clock=cast("Any", fakes.clock),
        scratch=fakes.world.scratch,
    )
    made.fakes = fakes
    made.kubelets = FakeKubelets(fakes.kube, fakes.ssh, fakes.playbooks, new)
    # The inventory as it is on the disk, so that it can be written at the end.
    text = "all:\n  children:\n    masters:\n      hosts:\n        m1:\n          ansible_host: 10.0.0.1\n"
    (directory / "hosts.yml").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    made.cluster = fakes.world.cluster = made.cluster.model_copy(update={"hosts_digest": digest})
    return made
