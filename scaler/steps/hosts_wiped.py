"""Give the hosts back as they were before they joined; a dead one keeps what it has, which is told.

What was brought to a host ahead of time stays there, and one that goes on standby keeps what it needs to join again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.ssh import on_each
from scaler.steps.base import Irreversible, played
from scaler.steps.hosts_prefetched import CACHE, has_everything, prefetch
from scaler.steps.leaving import look_at, not_ours, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# What joined last is taken back first.
REMOVALS = {
    "workers": ("worker_remove.yml",),
    "masters": ("worker_remove.yml", "master_remove.yml", "loadbalancer_remove.yml"),
    "etcd": ("etcd_remove.yml",),
}
GROUPS = {
    "worker_remove.yml": "workers",
    "master_remove.yml": "masters",
    "loadbalancer_remove.yml": "loadbalancers",
    "etcd_remove.yml": "etcd",
}
_HOLDS = {
    "workers": "its kubelet's client certificate",
    "masters": "its certificates and keys, those of the cluster's service accounts too",
    "etcd": "its member's certificates and keys",
}


class HostsWiped(Irreversible):
    """Nothing of the cluster is left on the hosts: no unit, container, mount, key, or rule of the packet filter."""

    title = "Give the hosts back"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        lines = ["prove that it is the same machine; stop its units, end its containers, unmount, put its files back"]
        if plan.leaves == "workers":
            kept = "its binaries and images are kept in" if plan.to_standby else "what was prefetched stays in"
            lines.append(f"{kept} {CACHE}, so that it joins again in seconds; no key is there")
        return lines + [f"{name} is dead: {_kept(plan)}" for name in plan.dead]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Prove each living host to be the one that the plan saw, then clean it."""
        world.later.update({h.name: _kept(world.plan) for h in hosts if h.name in world.plan.dead})
        living = world.plan.living(hosts)
        proofs = on_each(living, lambda host: self._proof(world, host))
        failures = {n: p.message if isinstance(p, ScalerError) else p for n, p in proofs.items() if p}
        if world.plan.to_standby:
            self._keep(world, [host for host in living if host.name not in failures])
        for playbook in REMOVALS[world.plan.leaves or "workers"]:
            group = GROUPS[playbook]
            left = [host for host in living if host.name not in failures]
            claims = {h.name: {"scaler_claim": {"cluster": world.cluster.name, "node": h.name}} for h in left}
            failures |= played(world, playbook, group, left, claims) if left else {}
        return failures

    def _keep(self, world: World, hosts: Sequence[Host]) -> None:
        """Let each host keep what it needs to join again, while that is in its place and need not be sent."""
        settings = world.cluster.settings
        whole = on_each(hosts, lambda host: has_everything(world.ssh, host, world.store, settings))
        told = prefetch(world, "workers", [host for host in hosts if whole[host.name] is not True])
        world.later |= {name: f"it joins again with all its files sent: {why}" for name, why in told.items()}

    def _proof(self, world: World, host: Host) -> str:
        """Return why ``host`` must not be cleaned."""
        group = world.plan.leaves or "workers"
        found = look_at(world.ssh, host, group)
        known = seen(world.plan, host.name).machine_id
        if found.machine_id != known:
            return f"it is another machine than was planned for (machine-id {found.machine_id}, not {known})"
        wrong = not_ours(found, host, world.cluster.name)
        if not wrong and found.claim is None and found.files:
            world.later[host.name] = (
                "scaler did not install it and does not know which files to take away: they stay, with "
                f"{_HOLDS[group]}; its units are stopped and disabled"
            )
        return wrong


def _kept(plan: Plan) -> str:
    """Say what a dead host of ``plan`` still has."""
    what = _HOLDS[plan.leaves or "workers"]
    return (
        f"it was never contacted and still holds {what}, which the API takes until they expire (when is not known "
        "from here); if it starts again it registers itself anew: keep it off the network, or reinstall it first"
    )


STEP = HostsWiped()
