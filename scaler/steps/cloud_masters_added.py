"""Let a cloud add masters to a cluster whose masters are the customer's own machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StillGoingError
from scaler.gateways.clock import wait_until
from scaler.gateways.kube import nodes
from scaler.model.pools import Operation
from scaler.steps import clouds
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.plan.pool_plan import PoolPlan, Unit
    from scaler.steps.clouds import CloudWorld
    from scaler.steps.world import Failures


class CloudMastersAdded(Irreversible):
    """As many masters as were asked for run, each with a Node that is Ready."""

    title = "Add masters"
    commits = "the cloud was asked for masters; what comes of it is the cloud's"

    def describe(self, plan: PoolPlan, settings: object) -> Sequence[str]:
        """Tell what the step will do."""
        del settings
        return [f"ask once; wait until {plan.wants.masters} masters run and their nodes are Ready"]

    def apply(self, world: CloudWorld, hosts: Sequence[Unit]) -> Failures:
        """Ask for those that are not masters yet; a call that says how many more is never repeated."""
        total = world.plan.wants.masters or 0
        there = {each.id for each in world.cloud.masters()}
        operation = Operation(change="add-masters", target=total, started=world.clock.now())
        missing = [host.name for host in hosts if host.name not in there]
        if missing:
            clouds.intend(world, f"add-masters {' '.join(missing)}")
            operation = world.cloud.add_masters(missing)
        clouds.must_succeed(clouds.watched(world, clouds.asked(world, operation), "masters"), operation, "masters")

        def ready() -> bool:
            told = [node for node in nodes(world.kube) if node.ready]
            masters = [each for each in world.cloud.masters() if each.state == "running"]
            found = [m for m in masters if any(m.is_node(node.name, node.spec.provider_id) for node in told)]
            world.say(f"{len(found)} of {total} masters Ready")
            return len(found) >= total

        if not wait_until(world.clock, ready, timeout=world.wait_seconds, every=world.poll_seconds):
            raise StillGoingError(
                f"not all {total} masters are Ready after {world.wait_seconds:g} s", hint=clouds.RESUME
            )
        return {}


STEP = CloudMastersAdded()
