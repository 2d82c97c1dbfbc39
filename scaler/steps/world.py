"""What every step is, and what every step may use: no door to hosts is opened by reading this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.gateways.clock import Clock
    from scaler.gateways.kube import Kube
    from scaler.model.inventory import Subject
    from scaler.plan.plan import AnyPlan

Failures = dict[str, str]
"""Host to the reason why the step did not succeed on it; a host that is not in it succeeded."""


@dataclass(kw_only=True)
class AnyWorld:
    """What every step may use, on hosts or in a cloud, for one run on one cluster.

    ``note`` puts a fact into the journal, before or after the act that it is about; ``later`` names what could not be
    reached and may be finished later; ``fence`` raises LockedError where the cluster is not this run's to change any
    more; asked before each step. ``earlier`` are the runs with which this one goes on, by host: what they began is
    its own.
    """

    run: str
    plan: AnyPlan
    kube: Kube
    clock: Clock
    say: Callable[[str], None] = lambda _: None
    note: Callable[[dict[str, Any]], None] = lambda _: None
    fence: Callable[[], None] = lambda: None
    earlier: dict[str, tuple[str, ...]] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)

    def is_ours(self, run: str, host: str) -> bool:
        """Tell whether what ``run`` did on ``host`` is this run's to take back."""
        return run == self.run or run in self.earlier.get(host, ())

    @property
    def runs(self) -> list[str]:
        """This run and those with which it goes on."""
        return [self.run, *dict.fromkeys(run for runs in self.earlier.values() for run in runs)]

    def recall(self, fact: dict[str, Any]) -> None:
        """Know again what a step of an earlier run noted."""

    @property
    def api_version(self) -> str:
        """The version of the API servers."""
        raise NotImplementedError


class Step(Protocol):
    """One verb of a plan. ``apply`` compares before it acts, so a step can be repeated.

    Once a step that ``commits`` has succeeded for a host, a later failure takes nothing back there; ``commits`` is the
    reason, for the operator, and empty otherwise.
    """

    title: str
    commits: str

    def describe(self, plan: Any, settings: Any) -> Sequence[str]:  # noqa: ANN401 - as the step's kind of plan wants
        """Tell what the step will do to each of its hosts, a sentence a line."""

    def apply(self, world: Any, hosts: Sequence[Any]) -> Failures:  # noqa: ANN401 - as above
        """Do it for ``hosts``; return the hosts it failed for and why."""

    def undo(self, world: Any, host: Any) -> None:  # noqa: ANN401 - as above
        """Take back on ``host`` what apply did, and only that; raises ScalerError where it cannot."""


class Irreversible:
    """A step whose undo has nothing to take back; ``commits`` says that from it on nothing is taken back any more."""

    commits = ""

    def undo(self, world: AnyWorld, host: Subject) -> None:
        """Nothing to take back."""
