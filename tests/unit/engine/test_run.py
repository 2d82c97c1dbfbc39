from __future__ import annotations

import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import steps
from scaler.engine.run import Engine, Outcome
from scaler.errors import AbortedError, LockedError, ScalerError
from scaler.plan.plan import StepSpec
from scaler.steps.base import Irreversible
from tests.fakes.world import Fakes, hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.engine.events import Event
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, Step, World


@dataclass
class Trail:
    """What was done and taken back, in order, and what every host has."""

    lines: list[str] = field(default_factory=list)
    has: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, step: str, host: str) -> None:
        self.lines.append(f"{step} {host}")
        self.has.setdefault(host, []).append(step)

    def undo(self, step: str, host: str) -> None:
        self.lines.append(f"undo {step} {host}")
        if step in self.has.get(host, []):
            self.has[host].remove(step)


class Small:
    """A step that notes what it did; ``fails`` and ``stuck`` name the hosts that it cannot do and cannot undo."""

    def __init__(
        self, name: str, trail: Trail, *, fails: Sequence[str] = (), stuck: Sequence[str] = (), commits: str = ""
    ) -> None:
        self.title, self.commits = name, commits
        self._trail, self._fails, self._stuck = trail, set(fails), set(stuck)
        self.meanwhile: Callable[[World], None] = lambda _: None

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        del plan, settings
        return [self.title]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        self.meanwhile(world)
        for host in hosts:
            self._trail.apply(self.title, host.name)
        return {host.name: f"{self.title} broke" for host in hosts if host.name in self._fails}

    def undo(self, world: World, host: Host) -> None:
        del world
        if host.name in self._stuck:
            raise ScalerError(f"{host.name} cannot be cleaned")
        self._trail.undo(self.title, host.name)


class Final(Irreversible):
    """A step that has nothing to take back, and fails for the hosts it is told."""

    title = "final"

    def __init__(self, fails: Sequence[str]) -> None:
        self._fails = fails

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        del plan, settings
        return []

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        del world
        return {host.name: "final broke" for host in hosts if host.name in self._fails}


class Ears:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def hear(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Deaf:
    """An observer that cannot take in the given kind of event."""

    def __init__(self, kind: str, step: str) -> None:
        self._kind, self._step = kind, step

    def hear(self, event: Event) -> None:
        if (event.kind, event.step) == (self._kind, self._step):
            raise ScalerError("the journal cannot be written: No space left on device")


@dataclass
class Setup:
    fakes: Fakes
    trail: Trail
    ears: Ears
    engine: Engine

    def run(self) -> Outcome:
        return self.engine.run()


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Setup]:
    def make(names: Sequence[str], trail: Trail, verbs: dict[str, Step], on_failure: str = "isolate") -> Setup:
        monkeypatch.setattr(steps, "find", verbs.__getitem__)
        fakes, ears = Fakes(tmp_path, hosts(*names), *verbs, on_failure=on_failure), Ears()
        return Setup(fakes, trail, ears, Engine(fakes.world, [ears]))

    return make


def test_a_failing_host_is_undone_last_step_first_and_the_others_go_on(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail, fails=["n2"]), "c": Small("c", trail)}
    outcome = set_up(["n1", "n2"], trail, verbs).run()
    assert outcome.made == ("n1",)
    assert outcome.failed == {"n2": "b broke"}
    assert outcome.left == {}
    assert trail.lines == ["a n1", "a n2", "b n1", "b n2", "undo b n2", "undo a n2", "c n1"]
    assert trail.has == {"n1": ["a", "b", "c"], "n2": []}


def test_every_step_is_told_before_and_after_and_every_host_by_name(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    setup = set_up(["n1", "n2"], trail, {"a": Small("a", trail, fails=["n2"])})
    setup.run()
    told = [(event.kind, event.step, event.hosts) for event in setup.ears.events]
    assert told == [
        ("run-started", "", ("n1", "n2")),
        ("step-intent", "a", ("n1", "n2")),
        ("host-failed", "a", ("n2",)),
        ("undo-intent", "a", ("n2",)),
        ("host-undone", "", ("n2",)),
        ("step-done", "a", ("n1",)),
        ("run-ended", "", ("n1",)),
    ]
    assert setup.ears.events[0].data == setup.fakes.world.plan.to_json()


def test_an_undo_that_fails_leaves_the_host_named_in_left(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail, stuck=["n1"]), "c": Small("c", trail, fails=["n1"])}
    setup = set_up(["n1", "n2"], trail, verbs)
    outcome = setup.run()
    assert outcome.made == ("n2",)
    assert outcome.left["n1"].startswith("n1 cannot be cleaned")
    assert "undo a n1" not in trail.lines
    assert "host-left" in setup.ears.kinds()
    assert "host-undone" not in setup.ears.kinds()


def test_after_a_committing_step_nothing_is_undone(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail, commits="it stays"), "c": Small("c", trail, fails=["n1"])}
    outcome = set_up(["n1"], trail, verbs).run()
    assert outcome.made == ()
    assert outcome.left == {"n1": "it stays"}
    assert trail.has["n1"] == ["a", "b", "c"]


def test_a_host_that_fails_in_the_committing_step_itself_is_undone(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail, commits="it stays", fails=["n1"])}
    outcome = set_up(["n1"], trail, verbs).run()
    assert outcome.left == {}
    assert trail.has["n1"] == []


def test_where_only_irreversible_steps_were_begun_nobody_is_said_to_be_undone(set_up: Callable[..., Setup]) -> None:
    setup = set_up(["n1"], Trail(), {"a": Final(["n1"])})
    outcome = setup.run()
    assert outcome.failed == {"n1": "final broke"}
    assert "host-undone" not in setup.ears.kinds()


def test_a_step_that_raises_has_failed_for_all_its_hosts_with_the_hint(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    broken = Small("b", trail)

    def breaks(_: World) -> None:
        raise ScalerError("no API", hint="look at the masters")

    broken.meanwhile = breaks
    outcome = set_up(["n1", "n2"], trail, {"a": Small("a", trail), "b": broken}).run()
    assert outcome.failed == dict.fromkeys(["n1", "n2"], "no API (look at the masters)")
    assert trail.has == {"n1": [], "n2": []}


def test_on_failure_stop_ends_the_run_and_undoes_nothing(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail, fails=["n1"]), "b": Small("b", trail)}
    outcome = set_up(["n1", "n2"], trail, verbs, "stop").run()
    assert outcome.made == ()
    assert outcome.failed == {"n1": "a broke"}
    assert trail.lines == ["a n1", "a n2"]


@pytest.mark.parametrize("seconds", [3600, -3600, 2.5])
def test_a_clock_that_jumps_between_steps_stops_before_the_next_one(
    set_up: Callable[..., Setup], seconds: float
) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}
    verbs["a"].meanwhile = lambda _: setup.fakes.clock.jump(seconds)
    setup = set_up(["n1"], trail, verbs)
    with pytest.raises(ScalerError, match="clock jumped by"):
        setup.run()
    assert trail.lines == ["a n1"]
    assert setup.ears.kinds()[-1] == "run-ended"


def test_a_clock_that_is_slewed_a_little_stops_nothing(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}
    verbs["a"].meanwhile = lambda _: setup.fakes.clock.jump(1.5)
    setup = set_up(["n1"], trail, verbs)
    assert setup.run().made == ("n1",)


def test_the_first_interruption_ends_the_step_and_stops_in_order(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}
    verbs["a"].meanwhile = lambda _: setup.engine.interrupts.come()
    setup = set_up(["n1"], trail, verbs)
    with pytest.raises(AbortedError, match="stopped in order before step b"):
        setup.run()
    assert trail.has == {"n1": ["a"]}
    assert [k for k in setup.ears.kinds() if k != "step-progress"] == [
        "run-started",
        "step-intent",
        "step-done",
        "run-ended",
    ]


def test_an_interruption_in_the_last_step_leaves_a_finished_run(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail)}
    verbs["a"].meanwhile = lambda _: setup.engine.interrupts.come()
    setup = set_up(["n1"], trail, verbs)
    assert setup.run().made == ("n1",)


def test_the_second_interruption_aborts_at_once_and_undoes_nothing(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}

    def twice(_: World) -> None:
        setup.engine.interrupts.come()
        setup.engine.interrupts.come()

    verbs["b"].meanwhile = twice
    setup = set_up(["n1"], trail, verbs)
    with pytest.raises(AbortedError, match="aborted in the middle"):
        setup.run()
    assert trail.lines == ["a n1"]
    assert setup.ears.kinds()[-1] == "run-ended"
    assert setup.ears.kinds()[-2] != "step-done"


@pytest.mark.parametrize("kind", ["step-progress", "step-done"])
def test_an_interruption_while_something_is_being_told_is_told_too(set_up: Callable[..., Setup], kind: str) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}
    verbs["a"].meanwhile = lambda world: world.say("half way")
    setup = set_up(["n1"], trail, verbs)

    class Interrupting:
        """An observer that is interrupted at the first event of the kind."""

        def __init__(self) -> None:
            self.engine: Engine | None = None

        def hear(self, event: Event) -> None:
            engine, self.engine = self.engine, None if event.kind == kind else self.engine
            if event.kind == kind and engine:
                engine.interrupts.come()

    observer = Interrupting()
    observer.engine = engine = Engine(setup.fakes.world, [setup.ears, observer])
    with pytest.raises(AbortedError, match="before step b"):
        engine.run()
    assert any(event.message.startswith("interrupted") for event in setup.ears.events)


def test_the_operators_own_handler_of_interruptions_is_back_after_a_run(set_up: Callable[..., Setup]) -> None:
    before = signal.getsignal(signal.SIGINT)
    trail = Trail()
    set_up(["n1"], trail, {"a": Small("a", trail)}).run()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_journal_that_takes_no_intent_keeps_the_step_from_beginning(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    setup = set_up(["n1"], trail, {"a": Small("a", trail), "b": Small("b", trail)})
    with pytest.raises(ScalerError, match="No space left"):
        Engine(setup.fakes.world, [setup.ears, Deaf("step-intent", "b")]).run()
    assert trail.lines == ["a n1"]


def test_seconds_are_told_by_step(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}
    verbs["b"].meanwhile = lambda world: world.clock.sleep(7)
    assert set_up(["n1"], trail, verbs).run().seconds == {"a": 0.0, "b": 7.0}


_STEPS = ("a", "b", "c", "d")
_HOSTS = ("n1", "n2", "n3")
_PAIRS = st.sets(st.tuples(st.sampled_from(_STEPS), st.sampled_from(_HOSTS)))


@given(failing=_PAIRS, stuck=_PAIRS, commits=st.sampled_from([None, *_STEPS]))
def test_every_host_is_made_or_failed_and_then_undone_or_left(
    failing: set[tuple[str, str]], stuck: set[tuple[str, str]], commits: str | None
) -> None:
    trail = Trail()
    verbs: dict[str, Step] = {
        step: Small(
            step,
            trail,
            fails=[host for s, host in failing if s == step],
            stuck=[host for s, host in stuck if s == step],
            commits="it stays" if step == commits else "",
        )
        for step in _STEPS
    }
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "find", verbs.__getitem__)
        ears = Ears()
        fakes = Fakes(Path(directory), hosts(*_HOSTS), *_STEPS)
        outcome = Engine(fakes.world, [ears]).run()
    assert {*outcome.made} | {*outcome.failed} == set(_HOSTS)
    assert not {*outcome.made} & {*outcome.failed}
    assert {*outcome.failed} == {host for _, host in failing}
    for host in outcome.made:
        assert trail.has[host] == list(_STEPS)
    for host in outcome.failed:
        assert (trail.has[host] == []) != (host in outcome.left)
        assert outcome.failed[host].endswith(" broke")
    undone = {host for event in ears.events if event.kind == "host-undone" for host in event.hosts}
    assert undone == {*outcome.failed} - {*outcome.left}


def test_on_failure_undo_gives_the_host_back_and_ends_the_run(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail, fails=["n1"]), "c": Small("c", trail)}
    outcome = set_up(["n1", "n2"], trail, verbs, "undo").run()
    assert (outcome.made, outcome.failed, outcome.left) == ((), {"n1": "b broke"}, {})
    assert trail.lines == ["a n1", "a n2", "b n1", "b n2", "undo b n1", "undo a n1"]


def test_hosts_that_are_done_before_another_fails_have_made_it(
    set_up: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail, fails=["n2"])}
    setup = set_up(["n1", "n2", "n3"], trail, verbs, "undo")
    one_by_one = [StepSpec(step=name, hosts=(host,)) for host in ("n1", "n2", "n3") for name in ("a", "b")]
    plan = setup.fakes.world.plan.model_copy(update={"steps": tuple(one_by_one)})
    monkeypatch.setattr(setup.fakes.world, "plan", plan)
    outcome = setup.run()
    assert (outcome.made, outcome.failed) == (("n1",), {"n2": "b broke"})
    assert trail.has == {"n1": ["a", "b"], "n2": []}


def test_what_is_left_for_later_is_in_the_outcome(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail)}
    verbs["a"].meanwhile = lambda world: world.later.update({"w1": "not reached"})
    outcome = set_up(["n1"], trail, verbs).run()
    assert (outcome.made, outcome.later) == (("n1",), {"w1": "not reached"})


def test_a_fact_that_a_step_notes_is_told_between_intent_and_outcome(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail)}
    verbs["a"].meanwhile = lambda world: world.note({"member": "2a"})
    setup = set_up(["n1"], trail, verbs)
    setup.run()
    told = [(event.kind, event.step, event.data) for event in setup.ears.events[1:-1]]
    assert told == [("step-intent", "a", {}), ("step-fact", "a", {"member": "2a"}), ("step-done", "a", {})]


def test_a_journal_that_takes_no_intent_of_a_step_keeps_the_step_from_acting(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail)}
    verbs["a"].meanwhile = lambda world: world.note({"intent": "member add"})
    setup = set_up(["n1"], trail, verbs)
    outcome = Engine(setup.fakes.world, [setup.ears, Deaf("step-fact", "a")]).run()
    assert "No space left" in outcome.failed["n1"]
    assert trail.has == {}


def test_a_cluster_that_is_not_the_runs_any_more_stops_it_before_the_next_step(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail), "b": Small("b", trail)}
    setup = set_up(["n1"], trail, verbs)

    def lose(_: World) -> None:
        setup.fakes.world.fence = refuse

    def refuse() -> None:
        raise LockedError("the lease is held by somebody else")

    verbs["a"].meanwhile = lose
    with pytest.raises(LockedError):
        setup.run()
    assert trail.lines == ["a n1"]
    assert setup.ears.kinds()[-2:] == ["step-done", "run-ended"]


def test_nothing_is_taken_back_on_a_cluster_that_is_not_the_runs_any_more(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    verbs = {"a": Small("a", trail, fails=["n1"])}
    setup = set_up(["n1"], trail, verbs)

    def refuse() -> None:
        raise LockedError("the lease is held by somebody else")

    verbs["a"].meanwhile = lambda world: setattr(world, "fence", refuse)
    with pytest.raises(LockedError):
        setup.run()
    assert trail.has == {"n1": ["a"]}


@pytest.mark.parametrize("error", [BrokenPipeError(), SystemExit(1), ValueError("I/O operation on closed file")])
def test_an_observer_that_breaks_is_not_told_any_more_and_the_run_goes_on(
    set_up: Callable[..., Setup], error: BaseException
) -> None:
    trail = Trail()
    setup = set_up(["n1"], trail, {"a": Small("a", trail), "b": Small("b", trail)})
    told: list[str] = []

    class Breaking:
        def hear(self, event: Event) -> None:
            told.append(event.kind)
            if event.kind == "step-intent":
                raise error

    outcome = Engine(setup.fakes.world, [Breaking(), setup.ears]).run()
    assert outcome.made == ("n1",)
    assert told == ["run-started", "step-intent"]
    assert setup.ears.kinds()[-1] == "run-ended"
    assert len(setup.ears.kinds()) == 6


def test_an_interruption_before_the_first_step_begins_none(set_up: Callable[..., Setup]) -> None:
    trail = Trail()
    setup = set_up(["n1"], trail, {"a": Small("a", trail)})
    setup.engine.interrupts.come()
    with pytest.raises(AbortedError, match="stopped in order before step a"):
        setup.run()
    assert trail.lines == []
