"""Place a worker's files as one bundle and start its units, all hosts at once, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.drivers import cni, found
from scaler.errors import StepError
from scaler.gateways.files import sha256
from scaler.steps.base import played, roles_of, worker_binaries
from scaler.steps.credentials_issued import drop_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PLAYBOOK = "worker_install.yml"
REMOVAL = "worker_remove.yml"


class WorkerInstalled:
    """Binaries, units and configuration are on the host, byte for byte, and the units run."""

    title = "Install and start the units"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        mode = plan.follows.get("kube_proxy_mode", settings.kube_proxy_mode)
        roles = [role for role in roles_of(PLAYBOOK) if _acts(role, settings, mode)]
        binaries = ", ".join(f"{b.name} {b.version}" for b in worker_binaries(settings))
        return [f"write {binaries}", f"write configuration of, and start: {', '.join(roles)}"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Run the playbook for all hosts at once."""
        variables = {host.name: _variables(world, host) for host in hosts}
        failures = played(world, PLAYBOOK, "workers", hosts, variables)
        for name in failures:
            # A host that cannot be cleaned later must not keep a key to the cluster.
            drop_token(world, name)
        return failures

    def undo(self, world: World, host: Host) -> None:
        """Stop the units and give the host back as it was."""
        failures = played(world, REMOVAL, "workers", [host], {})
        if failures:
            raise StepError(f"{host.name} could not be cleaned: {failures[host.name]}")


def _acts(role: str, settings: Settings, proxy_mode: str) -> bool:
    acting = set(cni.of(settings.cni).roles)
    others = {role for driver in found("cni").values() for role in driver.roles} - acting
    idle = {
        "bird": settings.cni_routing == "static",
        "kube_proxy": proxy_mode == "none",
        "kube_lb": settings.loadbalancer != "local",
        "images": not settings.images,
        "cni_plugins": settings.cni_plugins_version is None,
    }
    return role not in others and not idle.get(role, False)


def _variables(world: World, host: Host) -> dict[str, Any]:
    directory = world.secrets(host.name)
    claim = {
        "cluster": world.cluster.name,
        "node": host.name,
        "run": world.run,
        "ca": sha256(directory / "ca.crt"),
    }
    return {
        # As the nodes have it that live; an inventory that says something else was refused.
        **world.plan.follows,
        "scaler_fresh": host.name in world.fresh,
        "node_name": host.name,
        "node_ip": host.address,
        "node_pod_cidr": world.pod_cidrs.get(host.name, ""),
        "ca_certificate": directory / "ca.crt",
        "kubelet_bootstrap_kubeconfig": directory / "kubelet-bootstrap.kubeconfig",
        "kube_proxy_kubeconfig": directory / "kube-proxy.kubeconfig",
        "scaler_claim": claim,
        "lb_masters": [{"name": master.name, "address": master.address} for master in world.masters],
        # A master's own API server stands where a worker's own balancer would.
        "kube_lb_wanted": world.cluster.settings.loadbalancer == "local" and not world.is_master(host),
    }


STEP = WorkerInstalled()
