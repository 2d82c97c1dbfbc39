"""Every prefix of a plan resumes: a run that was killed anywhere is looked at again, and ends as one that was not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.app import add_etcd, add_master, runs
from scaler.engine import history
from tests.fakes.control_plane import FakeControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scaler.engine.events import Event
    from scaler.engine.run import Outcome
    from scaler.plan.plan import Plan
    from tests.fakes.session import FakeSession

STEPS = 20


class KilledError(BaseException):
    """scaler's process ended here, by nothing that it could catch."""


class Killer:
    """Ends the run at the ``number``th event of ``kind``.

    At a change of etcd that is before its answer is heard, at what is done on hosts before it is done.
    """

    def __init__(self, kind: str, number: int) -> None:
        self.kind, self._left = kind, number
        self.killed = False

    def hear(self, event: Event) -> None:
        if event.kind == self.kind:
            self._count()

    def changed(self) -> None:
        if self.kind == "etcd-changed":
            self._count()

    def done(self) -> None:
        if self.kind == "on-hosts":
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.killed:
            self.killed = True
            raise KilledError(self.kind)


def run(there: FakeControlPlane, killer: Killer | None = None) -> Outcome | None:
    """Run the command once, as a new process; None where there was nothing to do, or it was killed."""
    session = there.session()
    prepare: Callable[..., Any] = add_etcd.prepare if there.makes == "etcd" else add_master.prepare
    plan = prepare(session, there.new, allow_even=False, progress=lambda _: None)
    return None if plan.empty else done(there, session, plan, killer)


def resume(there: FakeControlPlane, killer: Killer | None = None) -> Outcome | None:
    """Go on with the run that is unfinished; where none is, run the command."""
    all_runs = history.runs("prod")
    if not history.unfinished(all_runs):
        return run(there, killer)
    old = runs.to_resume(all_runs, "")
    session = there.session()
    plan = runs.resumed(session, old, all_runs, progress=lambda _: None)
    assert plan.resumes == old.name
    return done(there, session, plan, killer)


def done(there: FakeControlPlane, session: FakeSession, plan: Plan, killer: Killer | None) -> Outcome | None:
    there.etcd.changed = [killer.changed] if killer else []
    there.heard = [killer.done] if killer else []
    try:
        return session.run(plan, [killer] if killer else [])
    except KilledError:
        return None
    finally:
        there.etcd.changed, there.heard = [], []


def end(there: FakeControlPlane) -> dict[str, Any]:
    return {
        "voters": sorted(there.etcd.voters),
        "learners": there.etcd.learners,
        "lists": there.lists(),
        "balancers": {name: (balancer.servers, balancer.drained) for name, balancer in there.balancers.items()},
        "groups": there.groups(),
        "open": {name: not told["spec"].get("unschedulable") for name, told in there.fakes.kube.of("Node").items()},
        "namespaces": set(there.fakes.kube.of("Namespace")),
    }


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Path]]:
    """Return a way to a new directory, the journals' too, since hypothesis runs one test many times."""
    directories = []

    def make() -> Path:
        directories.append(tempfile.TemporaryDirectory())
        monkeypatch.setenv("SCALER_STATE_DIR", f"{directories[-1].name}/state")
        return Path(directories[-1].name)

    yield make
    for directory in directories:
        directory.cleanup()


def masters(directory: Path) -> FakeControlPlane:
    return FakeControlPlane(directory, "m2", "m3")


def third(directory: Path) -> FakeControlPlane:
    return FakeControlPlane(directory, "m3", masters=2)


def members(directory: Path) -> FakeControlPlane:
    return FakeControlPlane(directory, "e2", "e3", masters=2, etcd=1)


MADE: dict[Callable[[Path], FakeControlPlane], dict[str, Any]] = {}


def whole(make: Callable[[Path], FakeControlPlane], place: Callable[[], Path]) -> dict[str, Any]:
    """Return where an uninterrupted run ends."""
    if make not in MADE:
        there = make(place())
        outcome = run(there)
        assert outcome
        assert outcome.made == tuple(host.name for host in there.new)
        assert (outcome.failed, outcome.left, outcome.later) == ({}, {}, {})
        assert there.outages == []
        assert there.etcd.quorate_ever_since
        MADE[make] = end(there)
    return MADE[make]


def resumes(
    make: Callable[[Path], FakeControlPlane],
    kills: list[tuple[str, int]],
    place: Callable[[], Path],
    by: Callable[..., Outcome | None] = run,
) -> None:
    wanted = whole(make, place)
    there = make(place())
    for kill in kills:
        by(there, Killer(*kill))
        assert there.etcd.quorate_ever_since
    last = by(there)
    assert history.unfinished(history.runs("prod")) == []
    assert last is None or (last.failed, last.left) == ({}, {})
    assert end(there) == wanted
    assert there.outages == []
    assert there.etcd.quorate_ever_since


def test_one_master_becomes_three_and_everything_names_all_of_them(place: Callable[[], Path]) -> None:
    three, addresses = ["m1", "m2", "m3"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    told = whole(masters, place)
    assert (told["voters"], told["learners"]) == (three, [])
    assert told["lists"] == dict.fromkeys(three, addresses)
    assert told["balancers"] == dict.fromkeys(["lb1", "lb2"], (dict(zip(three, addresses, strict=True)), set()))
    assert (told["groups"]["masters"], told["groups"]["etcd"], told["groups"]["standby"]) == (three, three, [])
    assert told["open"] == {"m1": True, "w1": True, "m2": True, "m3": True}


def test_an_etcd_of_its_own_grows_to_three_and_every_api_server_knows_them(place: Callable[[], Path]) -> None:
    told = whole(members, place)
    assert told["voters"] == ["e1", "e2", "e3"]
    assert told["lists"] == {name: ["10.0.0.31", "10.0.0.32", "10.0.0.33"] for name in ("m1", "m2")}
    assert (told["groups"]["etcd"], told["groups"]["standby"]) == (["e1", "e2", "e3"], [])


@pytest.mark.parametrize(
    "kind",
    [
        {"vip": True},
        {"loadbalancer": "nginx"},
        {"loadbalancer": "local", "balancers": 0, "workers": 12},
        {"etcd": 1, "becomes": "masters"},
    ],
    ids=["vip", "nginx", "local", "etcd-elsewhere"],
)
def test_whatever_stands_before_the_api_servers_they_become_three_without_an_outage(
    kind: dict[str, Any], place: Callable[[], Path]
) -> None:
    there = FakeControlPlane(place(), "m2", "m3", **kind)
    outcome = run(there)
    assert outcome
    assert (outcome.made, outcome.failed, outcome.later) == (("m2", "m3"), {}, {})
    assert there.outages == []
    assert there.etcd.quorate_ever_since
    three = {"m1": "10.0.0.1", "m2": "10.0.0.2", "m3": "10.0.0.3"}
    assert [balancer.servers for balancer in there.balancers.values()] == [three] * len(there.balancers)
    assert len({tuple(sorted(told)) for told in there.lists().values()}) == 1


def test_a_finished_change_has_nothing_to_do(place: Callable[[], Path]) -> None:
    there = masters(place())
    run(there)
    events = list(there.events)
    assert run(there) is None
    assert there.events == events


@pytest.mark.parametrize("number", range(STEPS))
def test_add_master_resumes_before_every_step_of_a_host(number: int, place: Callable[[], Path]) -> None:
    resumes(third, [("step-intent", number)], place, by=resume)


@pytest.mark.parametrize("number", range(2))
def test_add_master_resumes_where_etcd_changed_and_nobody_heard_it(number: int, place: Callable[[], Path]) -> None:
    resumes(third, [("etcd-changed", number)], place)


@pytest.mark.parametrize("number", range(10))
def test_add_etcd_resumes_where_an_api_server_was_set_aside(number: int, place: Callable[[], Path]) -> None:
    resumes(members, [("on-hosts", number)], place)


@pytest.mark.parametrize("number", range(8, 18))
def test_add_master_resumes_where_an_api_server_was_set_aside(number: int, place: Callable[[], Path]) -> None:
    resumes(third, [("on-hosts", number)], place)


@pytest.mark.parametrize("loadbalancer", ["haproxy", "nginx"])
def test_a_master_that_a_killed_run_set_aside_serves_again_before_the_next_is_set_aside(
    loadbalancer: str, place: Callable[[], Path]
) -> None:
    there = FakeControlPlane(place(), "m2", "m3", loadbalancer=loadbalancer)
    for number in range(40):
        run(there, Killer("on-hosts", number))
    assert run(there) is None
    assert there.outages == []
    three = {"m1": "10.0.0.1", "m2": "10.0.0.2", "m3": "10.0.0.3"}
    assert [(balancer.servers, balancer.drained) for balancer in there.balancers.values()] == [(three, set())] * 2


KILLS = st.one_of(
    st.tuples(st.just("step-intent"), st.integers(0, 2 * STEPS)),
    st.tuples(st.just("step-done"), st.integers(0, 2 * STEPS)),
    st.tuples(st.just("step-fact"), st.integers(0, 12)),
    st.tuples(st.just("etcd-changed"), st.integers(0, 4)),
    st.tuples(st.just("on-hosts"), st.integers(0, 40)),
)


@given(kills=st.lists(KILLS, min_size=1, max_size=3))
@settings(max_examples=6)
def test_add_master_resumes_however_often_it_is_killed(kills: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as directory:
        resumes(masters, kills, _places(patched, Path(directory)), by=resume)


@given(kills=st.lists(KILLS, min_size=1, max_size=3))
@settings(max_examples=6)
def test_add_etcd_resumes_however_often_it_is_killed(kills: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as directory:
        resumes(members, kills, _places(patched, Path(directory)))


def _places(patched: pytest.MonkeyPatch, root: Path) -> Callable[[], Path]:
    def make() -> Path:
        directory = Path(tempfile.mkdtemp(dir=root))
        patched.setenv("SCALER_STATE_DIR", str(directory / "state"))
        return directory

    return make
