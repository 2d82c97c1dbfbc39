"""What the steps in clouds share: the world they act in, and how an operation is watched to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from scaler.drivers.cloud_calls import error_of
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    PartialError,
    StillGoingError,
)
from scaler.gateways.clock import wait_until
from scaler.model.pools import Operation, Progress
from scaler.steps.world import AnyWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scaler.drivers.cloud import Cloud
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.model.pools import Pool, Trouble
    from scaler.model.state import Node
    from scaler.plan.pool_plan import PoolPlan

RESUME = "scaler runs resume waits on"


@dataclass(kw_only=True)
class CloudWorld(AnyWorld):
    """Everything a step in a cloud may use; ``poll_seconds`` and ``wait_seconds`` are how often and how long it asks.

    ``operation`` is the last change of a size, None before there is one, and ``progress`` what came of it: what the
    cloud gave up on, and why. ``unproven`` are the Nodes that failed the checks of a join. ``ending`` are Nodes whose
    machines the cloud was asked to end, or may have been: they are not opened again.
    """

    cluster: CloudCluster
    plan: PoolPlan
    cloud: Cloud
    poll_seconds: float
    wait_seconds: float
    version: str
    operation: Operation | None = None
    progress: Progress = field(default_factory=lambda: Progress(state="done"))
    unproven: list[Node] = field(default_factory=list)
    ending: set[str] = field(default_factory=set)

    @property
    def api_version(self) -> str:
        """The version of the API servers."""
        return self.version


def must_find(world: CloudWorld, pool_id: str) -> Pool:
    """Return the pool, read now; raises CloudError where it is gone."""
    pool = world.cloud.pool(pool_id)
    if pool is None:
        raise CloudError(f"there is no pool {pool_id} any more")
    return pool


def by_name(world: CloudWorld, name: str) -> Pool | None:
    """Return the pool that people call ``name``."""
    return next((pool for pool in world.cloud.pools() if pool.name == name), None)


def of_plan(world: CloudWorld) -> Pool:
    """Return the pool that the plan is about, read now; one that it makes has its name only."""
    wants = world.plan.wants
    if wants.spec is None:
        return must_find(world, wants.pool)
    pool = by_name(world, wants.spec.name)
    if pool is None:
        raise CloudError(f"there is no pool {wants.spec.name}")
    return pool


def cause_of(progress: Progress, other: type[CloudError]) -> type[CloudError]:
    """Return the kind of error that a failed operation is."""
    return error_of(progress.cause, other)


def asked(world: CloudWorld, operation: Operation) -> Operation:
    """Note ``operation`` in the journal, so that whoever goes on with this run can poll it."""
    world.note({"operation": operation.model_dump(mode="json", exclude_defaults=True)})
    return operation


def intend(world: CloudWorld, what: str) -> None:
    """Note what the cloud is about to be asked for: a run that is killed in between has asked, or has not."""
    world.note({"intent": what})


def watched(world: CloudWorld, operation: Operation, what: str) -> Progress:
    """Poll ``operation`` until the cloud has ended it; raises StillGoingError when the time is up."""
    last: list[Progress] = []

    def ended() -> bool:
        progress = world.cloud.poll(operation)
        last[:] = [progress]
        if progress.told:
            world.say(progress.told)
        return progress.state != "running"

    if not wait_until(world.clock, ended, timeout=world.wait_seconds, every=world.poll_seconds):
        raise StillGoingError(
            f"{what}: the cloud is not done after {world.wait_seconds:g} s{_told(last)}",
            hint=RESUME,
            **handles(operation),
        )
    return last[0]


def _told(last: list[Progress]) -> str:
    return f": {last[0].told}" if last and last[0].told else ""


def must_succeed(progress: Progress, operation: Operation, what: str) -> None:
    """Raise the error that a failed operation is, with all the reasons that the cloud told."""
    if progress.state == "done":
        return
    kind = cause_of(progress, CloudError)
    raise kind(
        f"{what}: {reasons(progress.troubles) or progress.told or 'the cloud failed'}", request=operation.request
    )


def reasons(troubles: Iterable[Trouble]) -> str:
    """Return what a cloud says is wrong, each once."""
    return "; ".join(dict.fromkeys(trouble.sentence for trouble in troubles))


def once_surely(
    world: CloudWorld, send: Callable[[], Operation], done: Callable[[], Operation | None], *, again: bool
) -> Operation:
    """Send an absolute write; where its answer was lost, or somebody was faster, look whether it is ``done`` already.

    ``done`` reads, and returns the operation to poll where the cloud is on its way there. What was lost on the way to
    the cloud is sent once more with ``again``.
    """
    try:
        return send()
    except (AmbiguousError, ConflictError) as e:
        world.say("the answer was lost; looking what was done" if isinstance(e, AmbiguousError) else e.message)
        found = done()
        if found is not None:
            return found
        if not again or not isinstance(e, AmbiguousError):
            raise
    return send()


def sized_surely(world: CloudWorld, pool: Pool, size: int) -> Operation:
    """Ask for ``size``, bound to what was seen of ``pool``; raises ConflictError where somebody was faster."""

    def done() -> Operation | None:
        now = must_find(world, pool.id)
        if now.target == size:
            return as_wanted(world, now, size)
        if now.target != pool.target:
            raise ConflictError(
                f"pool {pool.name} had {pool.target} nodes when {size} were asked for, and {now.target} now",
                hint="somebody changed it meanwhile; look, and run the same command again",
            )
        return None

    return once_surely(world, lambda: world.cloud.set_size(pool, size), done, again=True)


def as_wanted(world: CloudWorld, pool: Pool, size: int) -> Operation:
    """Return an operation that is done when the pool has ``size``, whoever asked for it."""
    return Operation(change="set-size", pool=pool.id, target=size, started=world.clock.now())


class Handles(TypedDict, total=False):
    """By which IDs a cloud knows what it was asked for, as CloudError takes them."""

    code: str
    request: str


def handles(operation: Operation | None) -> Handles:
    """Return the IDs of ``operation``, none before there is one."""
    return {"code": operation.id, "request": operation.request} if operation else {}


def partial(message: str, hint: str, operation: Operation | None) -> PartialError:
    """Return the error of a change that was done in part, told as CloudError tells one that failed."""
    return PartialError(CloudError(message, **handles(operation)).message, hint=hint)
