"""What is told of a Cluster Autoscaler, by the status that it keeps in the cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from scaler.app import autoscaling
from scaler.gateways.kube import KubeError
from scaler.model.pools import Pool
from scaler.plan.recipes import pools as recipes
from tests.fakes.clock import BEGIN, FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.cloud_session import CloudSession

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


def warnings(session: Session, *, size: int = 5) -> tuple[str, ...]:
    plan = recipes.grow("prod", WEB, size, settled=size == WEB.target)
    return autoscaling.told(cast("CloudSession", session), WEB, plan).warnings


@pytest.mark.parametrize("text", [OLD_TEXT, NEW_TEXT])
def test_a_pool_whose_group_it_names_is_moved_by_it(text: str) -> None:
    (told,) = warnings(Session(status(text, minutes=300)))
    assert told == (
        f"a Cluster Autoscaler has {GROUP} in its status of 2026-02-28 21:00 UTC: it may change the size again"
    )


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
