"""What is told of machines that did not come, by the cloud's own codes and the IDs of what it was asked."""

from __future__ import annotations

import pytest

from scaler.errors import CloudError, PartialError, QuotaError, ScalerError, SoldOutError, StillGoingError
from scaler.model.pools import Instance, Operation, Pool, Progress, Trouble
from scaler.plan.recipes import pools as recipes
from scaler.steps.pool_nodes_ready import STEP
from tests.fakes.clock import BEGIN, FakeClock
from tests.fakes.cloud import WEB, FakeCloud, world
from tests.fakes.kube import FakeKube

ASKED = Operation(change="set-size", id="op-7", pool=WEB.id, target=4, started=BEGIN, request="r-42")
SOLD_OUT = Trouble(what="zone a", code="OutOfStock", message="there are no such machines")
IN_WORDS = Trouble(what="i-9", message="it is sold out")


class ShortCloud(FakeCloud):
    """A pool of some machines that run, and ``others`` that do not."""

    others: tuple[Instance, ...] = ()

    def instances(self, pool: Pool) -> list[Instance]:
        return [*super().instances(pool), *self.others]


def failed(
    came: int, progress: Progress, *others: Instance, operation: Operation | None = ASKED, before: int = 2
) -> ScalerError:
    """Let four be asked for in place of ``before``, and ``came`` be there; return what is told."""
    kube = FakeKube(FakeClock())
    cloud = ShortCloud(kube, came)
    cloud.others = others
    plan = recipes.grow("prod", WEB.model_copy(update={"target": before}), 4)
    made = world(cloud, plan, kube, operation=operation, progress=progress)
    with pytest.raises(ScalerError) as told:
        STEP.apply(made, plan.hosts)
    return told.value


def gave_up(*troubles: Trouble, cause: str = "sold-out") -> Progress:
    return Progress.model_validate({"state": "partial", "cause": cause, "troubles": troubles})


def test_what_arrived_in_part_is_told_with_code_and_request() -> None:
    told = failed(3, gave_up(SOLD_OUT))
    assert isinstance(told, PartialError)
    assert told.message == (
        "pool web: asked for 4, got 3\nzone a: there are no such machines (OutOfStock) (op-7, request r-42)"
    )


@pytest.mark.parametrize(("cause", "kind"), [("sold-out", SoldOutError), ("quota", QuotaError), ("", CloudError)])
def test_where_none_came_the_error_has_the_request(cause: str, kind: type[CloudError]) -> None:
    told = failed(2, gave_up(SOLD_OUT, cause=cause))
    assert isinstance(told, kind)
    assert told.request == "r-42"
    assert told.message.endswith("(OutOfStock) (op-7, request r-42)")


def test_a_code_that_only_the_operation_has_is_told_beside_the_machines_own_words() -> None:
    broken = Instance(id="i-9", state="failed", reason=IN_WORDS)
    told = failed(3, gave_up(SOLD_OUT, IN_WORDS), broken)
    assert told.message.count("it is sold out") == 1
    assert "(OutOfStock)" in told.message
    coded = broken.model_copy(update={"reason": SOLD_OUT})
    assert failed(3, gave_up(SOLD_OUT), coded).message.count("OutOfStock") == 1


def test_what_takes_too_long_is_told_with_the_request() -> None:
    told = failed(2, Progress(state="done"), Instance(id="i-9", state="starting"))
    assert isinstance(told, StillGoingError)
    assert told.message.endswith("i-9: starting (op-7, request r-42)")


@pytest.mark.parametrize("operation", [None, ASKED.model_copy(update={"id": "", "request": ""})])
def test_what_has_no_ids_is_told_without(operation: Operation | None) -> None:
    assert failed(3, gave_up(SOLD_OUT), operation=operation).message.endswith("(OutOfStock)")
