"""End a removal that began without the API: what is left of it waits until the API answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.steps.base import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class RestLeft(Irreversible):
    """The run ends unfinished, so that nobody takes a host for gone which only etcd has forgotten."""

    title = "Leave the rest until the API answers"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["end here, unfinished: all else that knows it is changed by the same command once the API answers"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Say of each host what is done, and what is not."""
        del world
        why = "its member is out of etcd; all else that knows it stays as it is until the API answers"
        return {host.name: why for host in hosts}


STEP = RestLeft()
