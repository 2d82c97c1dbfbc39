"""What is told and refused of autoscalers: the cloud's own, and the Cluster Autoscaler by the status that it keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.app import autoscaling
from scaler.errors import GuardError, InputError, NotOfferedError
from scaler.gateways.kube import KubeError
from scaler.model.pools import Pool
from scaler.plan.plan import Drain
from scaler.plan.pool_plan import Machine
from scaler.plan.recipes import pools as recipes
from tests.fakes.clock import BEGIN, FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.cloud_session import CloudSession
    from scaler.plan.pool_plan import Autoscaler, PoolPlan

WEB = Pool(id="web", name="web", target=3, actual=3, min=0, max=9, state="ready", label="pool", value="web")
GROUP = "eks-web-7ac1b2c3-0000-1111-2222-333344445555"
OLD_TEXT = f"""Cluster-autoscaler status at 2026-03-01 01:59:50.1 +0000 UTC:
Cluster-wide:
  Health:      Healthy (ready=4 unready=0)

NodeGroups:
  Name:        {GROUP}
  Health:      Healthy (ready=3 unready=0)
"""
NEW_TEXT = f"""time: 2026-03-01 01:59:50.1 +0000 UTC
autoscalerStatus: Running
nodeGroups:
- name: {GROUP}
  health:
    status: Healthy
"""
OTHERS = NEW_TEXT.replace("eks-web-", "eks-web-2-")


class Session:
    """One cluster, and what a Cluster Autoscaler left in it."""

    title = "A cloud"

    def __init__(self, status: dict[str, Any] | None, offers: Sequence[str] = ()) -> None:
        self.offers = frozenset(offers)
        self.clock = FakeClock()
        self.asked = 0
        self._status = status

    @property
    def cloud(self) -> Session:
        return self

    @property
    def kube(self) -> Session:
        return self

    def get(self, kind: str, names: Sequence[str], *, namespace: str) -> list[dict[str, Any]]:
        assert (kind, list(names), namespace) == ("configmaps", ["cluster-autoscaler-status"], "kube-system")
        self.asked += 1
        return [self._status] if self._status else []


def status(text: str, *, minutes: int | None = 0) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "cluster-autoscaler-status"}
    if minutes is not None:
        at = BEGIN - timedelta(minutes=minutes)
        said = f"{at:%Y-%m-%d %H:%M:%S}.190150095 +0000 UTC"
        metadata["annotations"] = {"cluster-autoscaler.kubernetes.io/last-updated": said}
    return {"metadata": metadata, "data": {"status": text}}


def told_of(session: Session, plan: PoolPlan) -> tuple[str, ...]:
    return autoscaling.told(cast("CloudSession", session), [WEB], plan).warnings


def warnings(session: Session, *, size: int = 5, autoscaler: Autoscaler = "") -> tuple[str, ...]:
    return told_of(session, recipes.grow("prod", WEB, size, settled=size == WEB.target, autoscaler=autoscaler))


def removal(autoscaler: Autoscaler = "", *, pool: str = WEB.id, instance: str = "i-1") -> PoolPlan:
    going = recipes.Going({"n1": Machine(pool=pool, instance=instance)}, {WEB.id: WEB}, {}, ())
    return recipes.shrink("prod", going, Drain(), max_unavailable=1, autoscaler=autoscaler)


@pytest.mark.parametrize("text", [OLD_TEXT, NEW_TEXT])
def test_a_pool_whose_group_it_names_is_moved_by_it(text: str) -> None:
    (told,) = warnings(Session(status(text, minutes=300)))
    assert told == (
        f"a Cluster Autoscaler has {GROUP} in its status of 2026-02-28 21:00 UTC: it may change the size again"
    )


@pytest.mark.parametrize("text", [OLD_TEXT, NEW_TEXT])
@pytest.mark.parametrize("minutes", [14, None])
def test_a_pool_that_it_moves_now_keeps_its_size_unless_it_is_said(text: str, minutes: int | None) -> None:
    session = Session(status(text, minutes=minutes))
    for plan in (recipes.grow("prod", WEB, 5), removal()):
        with pytest.raises(GuardError, match=GROUP) as refused:
            told_of(session, plan)
        assert "--autoscaler keep" in refused.value.hint
    for plan in (recipes.grow("prod", WEB, 5, autoscaler="keep"), removal("keep")):
        (told,) = told_of(session, plan)
        assert told.endswith("it may change the size again")


def test_what_leaves_the_size_as_it_is_is_not_refused() -> None:
    session = Session(status(NEW_TEXT))
    # A run that asked for it already, machines that are gone, machines of another pool.
    for plan in (recipes.grow("prod", WEB, WEB.target), removal(instance=""), removal(pool="other")):
        assert len(told_of(session, plan)) == 1


@pytest.mark.parametrize("autoscaler", ["pin", "disable"])
def test_what_the_cloud_cannot_switch_is_neither_pinned_nor_disabled(autoscaler: Autoscaler) -> None:
    with pytest.raises(NotOfferedError, match=f"--autoscaler {autoscaler}") as refused:
        autoscaling.must_be_there(cast("CloudSession", Session(None)), WEB, autoscaler)
    assert "scaler pool autoscale web --min SIZE --max SIZE" in refused.value.hint


def test_one_that_is_off_is_not_pinned_and_may_be_disabled_again() -> None:
    session = cast("CloudSession", Session(None, ["autoscaler"]))
    with pytest.raises(InputError, match="no autoscaler moves pool web"):
        autoscaling.must_be_there(session, WEB, "pin")
    autoscaling.must_be_there(session, WEB.model_copy(update={"autoscaled": True}), "pin")
    autoscaling.must_be_there(session, WEB, "disable")


@pytest.mark.parametrize("autoscaler", ["", "keep"])
def test_nothing_is_refused_where_nothing_is_to_be_switched(autoscaler: Autoscaler) -> None:
    autoscaling.must_be_there(cast("CloudSession", Session(None)), WEB, autoscaler)


@pytest.mark.parametrize("text", [OTHERS, ""])
def test_one_that_does_not_name_the_pool_is_told_while_it_is_at_work(text: str) -> None:
    (told,) = warnings(Session(status(text, minutes=14)))
    assert told.startswith("a Cluster Autoscaler is at work (status of 2026-03-01 01:46 UTC)")
    assert warnings(Session(status(text, minutes=16))) == ()


def test_a_status_that_does_not_say_when_is_taken_for_one_of_now() -> None:
    (told,) = warnings(Session(status("", minutes=None)))
    assert told.startswith("a Cluster Autoscaler is at work (status)")


def test_without_one_nothing_is_told() -> None:
    assert warnings(Session(None)) == ()


@pytest.mark.parametrize(("size", "offers"), [(3, ()), (5, ("autoscaler",))])
def test_nobody_looks_where_nothing_is_done_or_the_cloud_tells(size: int, offers: Sequence[str]) -> None:
    session = Session(status(NEW_TEXT), offers)
    assert warnings(session, size=size) == ()
    assert session.asked == 0


def test_a_status_that_may_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(None)

    def refuse(*_: Any, **__: Any) -> Any:
        raise KubeError("configmaps is forbidden")

    monkeypatch.setattr(session, "get", refuse)
    (told,) = warnings(session)
    assert told == "whether a Cluster Autoscaler is at work could not be read: configmaps is forbidden"
