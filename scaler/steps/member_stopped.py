"""Stop etcd on the host whose member was taken out, so that it never tries to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError
from scaler.steps.base import Irreversible
from scaler.steps.placing import ETCD
from scaler.steps.units import stop
from scaler.steps.voters import peer_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class MemberStopped(Irreversible):
    """etcd is stopped and disabled there; its data is wiped only behind this, and only since the list is without it."""

    title = "Stop etcd there"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["see once more that the list is without it, then stop and disable etcd: systemd would start it forever"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Look, stop, look."""
        world.etcd = world.etcd.without(hosts)
        members = world.etcd.members()
        for host in hosts:
            if any(peer_url(host) in m.peer_urls for m in members):
                raise StepError(f"{host.name} is still a member of etcd; it is not stopped")
            stop(world, host, ETCD)
        return {}


STEP = MemberStopped()
