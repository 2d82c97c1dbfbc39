"""Start etcd on the new host and wait until the cluster knows the member by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.steps.base import Irreversible
from scaler.steps.first_start import unlimited
from scaler.steps.placing import ETCD, place
from scaler.steps.unit_log import log
from scaler.steps.voters import peer_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

START_SECONDS = 30.0
# After that the start goes on by itself.
PATIENCE = 5


class LearnerStarted(Irreversible):
    """The list has its name, which the member itself has told; it answers once it has caught up, which comes next."""

    title = "Start the learner"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [f"start etcd with what the cluster answered; its name in the list within {START_SECONDS:g} s"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Place etcd's configuration, start the unit, wait."""
        for host in hosts:
            unlimited(world, host)
            place(world, host, [ETCD], patience=PATIENCE)
            self._says_who_it_is(world, host)
        return {}

    def _says_who_it_is(self, world: World, host: Host) -> None:
        why = ""

        def started() -> bool:
            nonlocal why
            try:
                why = _what_is_missing(world, peer_url(host))
            except ScalerError as e:
                why = e.message
            return not why

        if not wait_until(world.clock, started, timeout=START_SECONDS, every=0.5):
            raise StepError(
                f"{host.name}: its member of etcd has not started after {START_SECONDS:g} s: {why}"
                + log(world, host, ETCD)
            )


def _what_is_missing(world: World, url: str) -> str:
    found = [m for m in world.etcd.members() if url in m.peer_urls]
    if not found:
        return "it is no longer in etcd's list"
    return "" if found[0].name else "the list has no name for it"


STEP = LearnerStarted()
