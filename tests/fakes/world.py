from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

from scaler.gateways.ssh import PatientSsh
from scaler.model.inventory import Cluster, Connection, Host, Settings
from scaler.plan.plan import Plan, StepSpec
from scaler.steps.base import World
from tests.fakes.clock import FakeClock
from tests.fakes.etcd import FakeEtcd
from tests.fakes.kube import FakeKube
from tests.fakes.playbooks import FakePlaybooks
from tests.fakes.ssh import FakeMachine, FakeSsh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scaler.gateways.store import Binary, Store

CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
RUN = "20260301-020000-abcd"


def host(name: str, number: int, **more: Any) -> Host:
    return Host(name=name, connection=Connection(address=f"10.0.0.{number}", **more))


def hosts(*names: str) -> tuple[Host, ...]:
    return tuple(host(name, 11 + number) for number, name in enumerate(names))


def settings(directory: Path, **more: Any) -> Settings:
    kubeconfig = directory / "admin.kubeconfig"
    authority = base64.b64encode(CA.encode()).decode()
    kubeconfig.write_text(
        "current-context: admin\n"
        "contexts: [{name: admin, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://10.0.0.5:6443', "
        f"certificate-authority-data: {authority}}}}}]\n"
    )
    told: dict[str, Any] = {
        "cluster_name": "prod",
        "kubernetes_version": "1.20.2",
        "etcd_version": "3.4.13",
        "api_endpoint": "10.0.0.5:6443",
        "pod_cidr": "10.244.0.0/16",
        "service_cidr": "10.96.0.0/16",
        "cluster_dns": "10.96.0.10",
        "pki_dir": directory / "pki",
        "admin_kubeconfig": kubeconfig,
        "binaries_manifest": directory / "binaries.txt",
        "known_hosts": directory / "known_hosts",
    }
    return Settings.model_validate({**told, **more})


def cluster(directory: Path, **more: Any) -> Cluster:
    groups = {key: more.pop(key) for key in ("masters", "etcd", "workers", "loadbalancers", "standby") if key in more}
    groups.setdefault("masters", (host("m1", 1),))
    groups.setdefault("etcd", groups["masters"])
    return Cluster(
        directory=directory,
        hosts_file=directory / "hosts.yml",
        hosts_digest="",
        settings=settings(directory, **more),
        **groups,
    )


def plan(chosen: Sequence[Host], *names: str, **more: Any) -> Plan:
    everyone = tuple(each.name for each in chosen)
    specs = tuple(StepSpec(step=name, hosts=everyone) for name in names)
    return Plan(**{"change": "add-node", "cluster": "prod", "hosts": tuple(chosen), "steps": specs, **more})


class FakeStore:
    """A store whose files nobody reads."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def digest(self, binary: Binary) -> str:
        return f"sha-of-{binary.name}"


class Fakes:
    """One world, and the fakes it is made of."""

    def __init__(self, directory: Path, chosen: Sequence[Host], *step_names: str, **more: Any) -> None:
        self.hosts = tuple(chosen)
        self.clock = FakeClock()
        self.kube = FakeKube(self.clock, cidrs=[f"10.244.{n}.0/24" for n in range(1, 9)])
        self.ssh = FakeSsh({each.name: FakeMachine({}) for each in chosen})
        # As preflight has asked them.
        self.ssh.answered |= {each.name for each in chosen}
        self.playbooks = FakePlaybooks()
        self.said: list[str] = []
        self.etcd = FakeEtcd.of("m1")
        self.shown: Callable[[str, int], str] = lambda _address, _port: CA
        scratch = directory / "scratch"
        scratch.mkdir(exist_ok=True)
        on_failure = more.pop("on_failure", "isolate")
        known = cluster(directory, **more)
        self.world = World(
            run=RUN,
            cluster=known,
            plan=plan(chosen, *step_names, on_failure=on_failure),
            kube=self.kube,
            ssh=PatientSsh(self.ssh, self.clock, known.settings.reconnect_seconds),
            playbooks=self.playbooks,
            store=cast("Store", FakeStore(directory)),
            clock=self.clock,
            scratch=scratch,
            snapshots=directory / "snapshots",
            etcd=self.etcd,
            masters=list(known.masters),
            say=self.said.append,
            answered=self.ssh.answered,
        )
