"""What is seen and what is wished, in one place: calls, looks and runs change it one after the other."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from scaler.errors import UnreachableError
from scaler.plan import node_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scaler.engine.ledger import Book
    from scaler.gateways.clock import Clock
    from scaler.model.node_groups import Ended, Ledger, Named, World

# The inventory is looked at every few seconds; what could not be for so long is not built on.
STALE = timedelta(minutes=2)


class Groups:
    """The groups of one cluster as they were seen last, and the ledger of what is wished of them."""

    def __init__(self, book: Book, clock: Clock) -> None:
        self._book = book
        self._clock = clock
        self._world: World | None = None
        self.trouble = "nothing has been looked at yet"

    @contextmanager
    def both(self) -> Iterator[tuple[World, Ledger]]:
        """Give what was seen and what is wished, as they are at one moment."""
        with self._book.steady() as ledger:
            if self._world is None:
                raise UnreachableError(f"the cluster has not been seen yet: {self.trouble}")
            yield self._world, ledger

    def saw(self, world: World) -> None:
        """Take in a look: what has come true is forgotten in the same moment."""
        with self._book.steady():
            self._book.change(lambda ledger: node_groups.settled(world, ledger))
            self._world = world
            self.trouble = ""

    def fresh(self) -> str:
        """Return why nothing can be built on what was seen, an empty string where it can."""
        if self._world is None:
            return self.trouble
        age = self._clock.now() - self._world.at
        return f"not seen for {age.total_seconds():.0f} s: {self.trouble}" if age > STALE else ""

    def increase(self, group: str, delta: int) -> None:
        """Let more machines come into ``group``."""
        self._change(lambda world, ledger: node_groups.increase(world, ledger, group, delta, self._clock.now()))

    def decrease(self, group: str, delta: int) -> None:
        """Take back what is not there of ``group``."""
        self._change(lambda world, ledger: node_groups.decrease(world, ledger, group, delta))

    def delete(self, group: str, named: Sequence[Named]) -> None:
        """Let machines leave ``group``."""
        self._change(lambda world, ledger: node_groups.delete(world, ledger, group, named, self._clock.now()))

    @property
    def waits(self) -> bool:
        """Tell whether a run could be begun."""
        with self.both() as (world, ledger):
            return node_groups.next_batch(world, ledger, self._clock.now()) != ledger

    def begin(self) -> Ledger:
        """Begin the next run, if there is one to begin; return the ledger."""
        return self._change(lambda world, ledger: node_groups.next_batch(world, ledger, self._clock.now()))

    def staying(self, told: Ended) -> tuple[str, ...]:
        """Return the machines that were to leave by the run that ended, and stay."""
        with self.both() as (world, before):
            return node_groups.staying(before, node_groups.ended(world, before, told, self._clock.now()))

    def ended(self, told: Ended) -> Ledger:
        """Take in how the run ended; the world was seen since."""
        return self._change(lambda world, ledger: node_groups.ended(world, ledger, told, self._clock.now()))

    @property
    def ledger(self) -> Ledger:
        """The ledger as it is now."""
        return self._book.ledger

    def _change(self, how: Callable[[World, Ledger], Ledger]) -> Ledger:
        with self.both() as (world, _):
            why = self.fresh()
            if why:
                raise UnreachableError(f"cluster {world.cluster.name} is {why}", hint="nothing was changed")
            return self._book.change(lambda ledger: how(world, ledger))
