"""What a step is, and the world it acts in."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaler import assets
from scaler.errors import ScalerError
from scaler.gateways.ssh import HostKeyError, on_each
from scaler.gateways.store import Binary
from scaler.plan import etcd_versions
from scaler.steps.world import AnyWorld, Failures, Irreversible, Step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scaler.gateways.etcd import Etcd
    from scaler.gateways.playbooks import HostRun, Playbooks
    from scaler.gateways.ssh import Ssh
    from scaler.gateways.store import Store
    from scaler.model.inventory import Cluster, Host, Settings
    from scaler.plan.plan import Plan

__all__ = [
    "Failures",
    "Irreversible",
    "Step",
    "World",
    "etcd_binaries",
    "master_binaries",
    "played",
    "roles_of",
    "worker_binaries",
]

CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
# A host on its way down still answers, and is lost once more.
PLAYS = 3


@dataclass(kw_only=True)
class World(AnyWorld):
    """Everything a step on hosts may use.

    ``masters`` are those whose API server serves, in the inventory's order and then as they come in; ``steady_at`` is
    when etcd was last seen to stand firm (monotonic, seconds); ``own_members`` are the IDs of etcd members that runs of
    scaler added, ``asked_for`` the peer URLs of those that this run adds. ``answered`` are the hosts that answered in
    this run: only such a one is waited for when it is lost, by ``ssh`` itself, which is for commands that may run
    twice; ``stopped`` are the units that this run stopped, by host.
    """

    cluster: Cluster
    plan: Plan
    ssh: Ssh
    playbooks: Playbooks
    store: Store
    scratch: Path
    snapshots: Path
    etcd: Etcd
    masters: list[Host]
    pod_cidrs: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    own_members: set[int] = field(default_factory=set)
    asked_for: set[str] = field(default_factory=set)
    stopped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    steady_at: float = float("-inf")
    etcd_servers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    initial_cluster: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    @property
    def api_version(self) -> str:
        """The version of the API servers."""
        return self.cluster.settings.kubernetes_version

    def recall(self, fact: dict[str, Any]) -> None:
        """Know again what a step of an earlier run noted: whose learners and tokens there are."""
        if fact.get("peer_url"):
            self.asked_for.add(fact["peer_url"])
        self.tokens.update(fact.get("tokens", {}))

    def secrets(self, host: str) -> Path:
        """Return the private directory with ``host``'s credentials, gone when the run ends."""
        directory = self.scratch / host
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    @property
    def own_etcd(self) -> bool:
        """Tell whether etcd stands on the masters, a member each, and not on hosts of its own."""
        return self.cluster.own_etcd

    def is_master(self, host: Host) -> bool:
        """Tell whether ``host`` is a master, or becomes one by this plan."""
        joins = self.plan.makes == "masters" and any(host.name == other.name for other in self.plan.hosts)
        return joins or any(host.name == master.name for master in self.cluster.masters)


def played(
    world: World,
    playbook: str,
    group: str,
    hosts: Iterable[Host],
    host_variables: dict[str, dict[str, Any]],
    *,
    check: bool = False,
) -> Failures:
    """Run ``playbook`` on ``hosts`` of ``group`` with the cluster's settings; return each host's failure.

    With ``check`` nothing is changed, as with ``ansible-playbook --check``. A host that is lost meanwhile is waited
    for, and the playbook goes on there: what still runs on it is not begun anew, what it came to is collected.
    """
    settings = world.cluster.settings
    hosts = list(hosts)
    # A host given on the command line has the variables that all hosts have.
    common = world.cluster.masters[0].variables
    merged = {host.name: {**(host.variables or common), **host_variables.get(host.name, {})} for host in hosts}
    variables: dict[str, Any] = {
        **settings.model_dump(mode="json", exclude_none=True),
        "scaler_store": str(world.store.root),
        "scaler_operation": f"{world.run}-{secrets.token_hex(4)}",
    }
    failures: Failures = {}
    for _ in range(PLAYS):
        done = world.playbooks.run(
            playbook, hosts, variables, group=group, host_variables=merged, progress=world.say, check=check
        )
        _measure(world, done)
        failures = {name: why for name, why in failures.items() if name not in done}
        failures |= {name: result.failure for name, result in done.items() if result.failure}
        world.answered |= {name for name, result in done.items() if not result.lost}
        lost = [host for host in hosts if done[host.name].lost and host.name in world.answered]
        for host in lost:
            world.say(f"{host.name} is lost; it is waited for, {settings.reconnect_seconds} s")
        told = on_each(lost, lambda host: world.ssh.run(host, ["true"], timeout=10))
        failures |= {name: f"{e.message} ({e.hint})" for name, e in told.items() if isinstance(e, HostKeyError)}
        hosts = [host for host in lost if not isinstance(told[host.name], ScalerError)]
        if not hosts:
            break
        # What an earlier try left there is asked for before anything big is sent again.
        merged = {host.name: {**merged[host.name], "scaler_fresh": False} for host in hosts}
    return failures


def _measure(world: World, done: dict[str, HostRun]) -> None:
    for result in done.values():
        for told in result.results.values():
            world.measures["payload_bytes"] = world.measures.get("payload_bytes", 0) + told.get("payload_bytes", 0)


def worker_binaries(settings: Settings) -> tuple[Binary, ...]:
    """Return the store's files that a worker gets."""
    arch, kubernetes = settings.kubernetes_arch, settings.kubernetes_version
    names = ("kubelet",) if settings.kube_proxy_mode == "none" else ("kubelet", "kube-proxy")
    files = [Binary("kubernetes", kubernetes, arch, name) for name in names]
    if settings.runtime_source == "store":
        files += [Binary("containerd", settings.containerd_version or "", arch, name) for name in CONTAINERD]
        files.append(Binary("runc", settings.runc_version or "", arch, "runc"))
    if settings.cni_plugins_version:
        files += [Binary("cni-plugins", settings.cni_plugins_version, arch, name) for name in CNI_PLUGINS]
    for image in settings.images:
        component, version, _, name = image.split("/")
        files.append(Binary(component, version.removeprefix("v"), arch, name))
    return tuple(files)


def master_binaries(settings: Settings) -> tuple[Binary, ...]:
    """Return the store's files that a master gets."""
    arch = settings.kubernetes_arch
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    files = [Binary("kubernetes", settings.kubernetes_version, arch, name) for name in names]
    return (*files, *etcd_binaries(settings))


def etcd_binaries(settings: Settings) -> tuple[Binary, ...]:
    """Return the store's files that an etcd member gets."""
    # From 3.6 on only etcdutl tells whether a snapshot is whole.
    names = ("etcd", "etcdctl", *(("etcdutl",) if etcd_versions.parsed(settings.etcd_version) >= (3, 6, 0) else ()))
    return tuple(Binary("etcd", settings.etcd_version, settings.kubernetes_arch, name) for name in names)


def roles_of(playbook: str) -> list[str]:
    """Return the roles whose files and units ``playbook`` places, as the playbook itself names them."""
    lines = (assets.PLAYBOOKS / playbook).read_text(encoding="utf-8").splitlines()
    following = itertools.pairwise(lines)
    named = [after.split("name:", 1)[1].strip() for line, after in following if "ansible.builtin.import_role:" in line]
    return [role for role in named if role != "cluster"]
