"""Take a snapshot of etcd before its members change, verified, onto this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError
from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class EtcdSnapshot(Irreversible):
    """A whole snapshot, at least as new as the last look, is on this machine; the newest few are kept."""

    title = "Take a snapshot of etcd"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        kept = settings.etcd_snapshots
        return [f"save a snapshot from a voter, verify it, copy it here (0600); keep the newest {kept}"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Save, verify, copy, and remove what is older than the newest ones."""
        before = max(status.header.revision for status in world.etcd.status(world.etcd.members()).values())
        directory = world.snapshots
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = directory / f"etcd-{world.run}-{hosts[0].name}.db"
        told = world.etcd.snapshot(target)
        if told.revision < before:
            target.unlink()
            raise StepError(f"the snapshot has revision {told.revision}, etcd was at {before} before it")
        world.note({"snapshot": str(target), "revision": told.revision, "hash": told.hash})
        # Their names begin with the time of their run.
        for old in sorted(directory.glob("etcd-*.db"))[: -world.cluster.settings.etcd_snapshots]:
            old.unlink()
        return {}


STEP = EtcdSnapshot()
