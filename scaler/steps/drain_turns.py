"""Whose turn it is among a StatefulSet's pods, over all nodes that are emptied at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from scaler.plan.pods import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scaler.plan.pods import Leaving


class Turn(NamedTuple):
    """The sets' pods of one node that may go now; those that wait for another node's, and for which."""

    pods: list[Leaving]
    waiting: dict[str, str]


class Turns:
    """A set's pods go one after the other, the highest number first, whichever of the nodes they are on.

    No set's pod goes until each node has said what is on it; one that is done with, emptied or not, has nothing to say
    any more.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self._guard = threading.Lock()
        self._silent = set(nodes)
        self._left: set[str] = set()
        self._last: dict[str, dict[str, Leaving]] = {}
        # A set's pod that has been evicted, or ends already, and is not Ready elsewhere yet.
        self._awaited: dict[str, Leaving] = {}

    def whose(
        self, node: str, rest: Sequence[Leaving], ending: Iterable[Leaving], is_back: Callable[[Leaving], bool]
    ) -> Turn:
        """Return whose turn it is on ``node``; ``rest`` is what is left there, ``ending`` ends already.

        Those that were awaited and that ``is_back`` tells to run elsewhere, or not to be wanted, are awaited no more.
        """
        mine = {key: pods[0] for key, pods in in_order(rest).items()}
        with self._guard:
            self._silent.discard(node)
            self._last[node] = mine
            for key, pods in in_order(ending).items():
                self._awaited.setdefault(key, pods[0])
            looked_for = {key: pod for key, pod in self._awaited.items() if pod.node in {node, *self._left}}
        back = [key for key, pod in looked_for.items() if is_back(pod)]
        with self._guard:
            for key in back:
                self._awaited.pop(key, None)
            ahead = {key: self._ahead(key, pod) for key, pod in mine.items()}
            waiting = {pod.key: ahead[key] for key, pod in mine.items() if self._is_anothers(node, key, ahead[key])}
            return Turn([pod for key, pod in mine.items() if not ahead[key]], waiting)

    def went(self, pods: Iterable[Leaving]) -> None:
        """Note that ``pods`` were evicted."""
        with self._guard:
            self._awaited |= {key: gone[0] for key, gone in in_order(pods).items()}

    def awaited(self, node: str) -> list[Leaving]:
        """Return what was on ``node`` and is not Ready elsewhere yet."""
        with self._guard:
            return [pod for pod in self._awaited.values() if pod.node == node]

    def leave(self, node: str) -> None:
        """Let the others go on without ``node``."""
        with self._guard:
            self._silent.discard(node)
            self._left.add(node)
            self._last.pop(node, None)

    def _ahead(self, key: str, pod: Leaving) -> str:
        """Return what comes before ``pod``; empty where nothing does."""
        if self._silent:
            return f"what is on {', '.join(sorted(self._silent))}"
        awaited = self._awaited.get(key)
        first = max((last[key] for last in self._last.values() if key in last), key=lambda each: each.ordinal)
        return awaited.key if awaited else "" if first.ordinal == pod.ordinal else first.key

    def _is_anothers(self, node: str, key: str, ahead: str) -> bool:
        """Tell whether what is ``ahead`` is another node's to end, which is still at it."""
        awaited = self._awaited.get(key)
        return bool(ahead) and (awaited is None or awaited.node not in {node, *self._left})
