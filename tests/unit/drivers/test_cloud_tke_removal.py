"""What is told of machines that TKE is asked to end in several requests, where not all of them are answered."""

from __future__ import annotations

import pytest

from scaler.drivers.cloud_tke_api import Deleted
from scaler.drivers.cloud_tke_removal import AT_ONCE, Removal, removed
from scaler.errors import AmbiguousError, CloudError, ConflictError, CredentialsError, ScalerError, UnreachableError
from scaler.model.pools import Instance

RUNNING = [Instance(id=f"ins-{at}", state="running") for at in range(AT_ONCE + 1)]
STARTING = Instance(id="ins-new", state="starting")
FIRST, SECOND, FORCED = [each.id for each in RUNNING[:AT_ONCE]], [RUNNING[-1].id], [STARTING.id]
LOST = AmbiguousError("the connection broke")
REFUSED = CloudError("TKE: it is paid for in advance", code="InvalidParameter", request="r-9")


class Tke:
    """Answers each request in turn with what is said, or raises it."""

    def __init__(self, *answers: Deleted | ScalerError) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[list[str], bool]] = []

    def send(self, names: list[str], force: bool) -> Deleted:  # noqa: FBT001 - as the driver's
        self.asked.append((names, force))
        answer = self._answers[len(self.asked) - 1]
        if isinstance(answer, ScalerError):
            raise answer
        return answer


def said(request: str, *failed: str) -> Deleted:
    return Deleted.model_validate({"RequestId": request, "FailedInstanceIds": failed})


def asked(*answers: Deleted | ScalerError) -> tuple[Removal, Tke]:
    """Let 101 running machines and one that starts be ended: three requests."""
    tke = Tke(*answers)
    return removed([STARTING, *RUNNING], tke.send), tke


def test_a_hundred_go_in_one_request_and_by_force_only_what_is_not_up_yet() -> None:
    told, tke = asked(said("r-1"), said("r-2"), said("r-3"))
    assert tke.asked == [(FIRST, False), (SECOND, False), (FORCED, True)]
    assert told == ((*FIRST, *SECOND, *FORCED), (), ("r-1", "r-2", "r-3"))


def test_what_was_begun_is_told_where_a_later_answer_is_lost() -> None:
    told, _ = asked(said("r-1"), LOST, said("r-3", *FORCED))
    assert told.going == tuple(FIRST)
    assert [(each.what, each.code) for each in told.troubles] == [
        (SECOND[0], AmbiguousError.kind),
        (FORCED[0], "FailedInstanceIds"),
    ]
    assert told.requests == ("r-1", "r-3")


def test_machines_that_are_refused_do_not_hold_up_the_others() -> None:
    told, _ = asked(REFUSED, said("r-2"), said("r-3"))
    assert told.going == (*SECOND, *FORCED)
    assert {each.what for each in told.troubles} == set(FIRST)
    assert "request r-9" in told.troubles[0].message


@pytest.mark.parametrize("error", [ConflictError("busy", code="c"), CredentialsError("no"), UnreachableError("no way")])
def test_what_has_nothing_to_do_with_machines_ends_the_row(error: ScalerError) -> None:
    told, tke = asked(said("r-1"), error)
    assert (told.going, len(tke.asked)) == (tuple(FIRST), 2)
    assert [each.what for each in told.troubles] == [*SECOND, *FORCED]
    with pytest.raises(type(error)):
        asked(error)


def test_where_nobody_knows_of_some_and_the_others_were_refused_each_is_told() -> None:
    told, _ = asked(LOST, REFUSED, REFUSED)
    assert told.going == ()
    assert [each.code for each in told.troubles] == [AmbiguousError.kind] * AT_ONCE + ["InvalidParameter"] * 2


@pytest.mark.parametrize("errors", [(LOST, LOST, LOST), (REFUSED, REFUSED, REFUSED)])
def test_one_fate_of_all_is_an_error(errors: tuple[ScalerError, ...]) -> None:
    with pytest.raises(type(errors[0])) as told:
        asked(*errors)
    assert told.value is errors[0]
