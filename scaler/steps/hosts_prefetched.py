"""Bring to hosts on standby what they need to become workers: a join then sends them no binary and no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.base import Irreversible, played, worker_binaries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.gateways.ssh import Ssh
    from scaler.gateways.store import Store
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PLAYBOOK = "prefetch.yml"
# Where the bundle looks for each file by its SHA-256 before it is sent.
CACHE = "/var/cache/scaler"
_LISTED = ["find", CACHE, "-maxdepth", "1", "-type", "f", "-exec", "sha256sum", "{}", "+"]


class HostsPrefetched(Irreversible):
    """The host's cache has what a worker of this cluster is made of, byte for byte, and nothing else."""

    title = "Bring binaries and images ahead of time"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        binaries = ", ".join(f"{b.name} {b.version}" for b in worker_binaries(settings))
        lines = [f"keep in {CACHE}: {binaries}", "send what is not there, remove what no worker has any more"]
        if settings.runtime_source == "distribution":
            lines.append("install the distribution's container runtime where there is none")
        return lines

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Run the playbook for all hosts at once, each on its own."""
        return prefetch(world, "standby", hosts)


def prefetch(world: World, group: str, hosts: Sequence[Host]) -> Failures:
    """Fill the caches of ``hosts`` of ``group``; what a host has in its place already is not sent to it."""
    return played(world, PLAYBOOK, group, hosts, {}) if hosts else {}


def has_everything(ssh: Ssh, host: Host, store: Store, settings: Settings) -> bool:
    """Tell whether the cache of ``host`` has what a worker is made of and nothing else, and a runtime is there."""
    if settings.runtime_source == "distribution" and ssh.run(host, ["containerd", "--version"]).status != 0:
        return False
    listed = ssh.run(host, _LISTED, timeout=120)
    found = dict(line.split("  ", 1)[::-1] for line in listed.out.splitlines() if "  " in line)
    wanted = {store.digest(binary) for binary in worker_binaries(settings)}
    return found == {f"{CACHE}/{digest}": digest for digest in wanted}


STEP = HostsPrefetched()
