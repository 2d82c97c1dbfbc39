from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.model.pools import Instance, Operation, Pool, Progress
from scaler.steps.clouds import CloudWorld
from tests.fakes.clock import BEGIN, FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.plan.pool_plan import PoolPlan
    from tests.fakes.kube import FakeKube

WEB = Pool(id="np-1", name="web", target=2, actual=2, state="ready", label="pool", value="np-1")


def world(cloud: object, plan: PoolPlan, kube: FakeKube | None = None, **more: Any) -> CloudWorld:
    """Return what steps of ``plan`` work with: asked each second, for ten; without a ``kube`` they need none."""
    told: dict[str, Any] = {"kube": kube, "cloud": cloud, "cluster": None, "version": "1.33", **more}
    clock = kube.clock if kube else FakeClock()
    return CloudWorld(run="r", plan=plan, clock=clock, poll_seconds=1, wait_seconds=10, **told)


class FakeCloud:
    """One pool, whose machines ``i-N`` are the Nodes ``web-N``; a size that is asked for is there at once."""

    title = "A cloud"
    offers = frozenset({"create", "delete", "remove-instances"})

    def __init__(self, kube: FakeKube, size: int) -> None:
        self._kube = kube
        self.web = WEB.model_copy(update={"target": 0})
        self.machines: list[str] = []
        self.sizes: list[int] = []
        self._grow(size)

    def _grow(self, size: int) -> None:
        for number in range(len(self.machines) + 1, size + 1):
            self.machines.append(f"web-{number}")
            self._kube.add_node(f"web-{number}", labels={WEB.label: WEB.value})
        self.web = self.web.model_copy(update={"target": size, "actual": size})

    def pools(self) -> list[Pool]:
        return [self.web]

    def pool(self, pool_id: str) -> Pool:
        assert pool_id == self.web.id
        return self.web

    def instances(self, pool: Pool) -> list[Instance]:
        del pool
        return [Instance(id=name.replace("web", "i"), node=name, state="running") for name in self.machines]

    def set_size(self, pool: Pool, size: int) -> Operation:
        self.sizes.append(size)
        self._grow(size)
        return Operation(change="set-size", pool=pool.id, target=size, started=BEGIN)

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        for each in instances:
            self.machines.remove(each.node)
        self.web = pool.model_copy(update={"target": len(self.machines)})
        return Operation(change="remove-instances", pool=pool.id, started=BEGIN)

    def poll(self, operation: Operation) -> Progress:
        del operation
        return Progress(state="done")
