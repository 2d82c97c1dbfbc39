"""Whose turn it is among a StatefulSet's pods, over all nodes that are emptied at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from scaler.plan.pods import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scaler.plan.pods import Leaving


class Turns:
    """A set's pods go one after the other, the highest number first, whichever of the nodes they are on.

    No set's pod goes until each node has said what is on it; one that is done with, emptied or not, has nothing to say
    any more.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self._guard = threading.Lock()
        self._silent = set(nodes)
        self._left: set[str] = set()
        self._numbers: dict[str, dict[str, int]] = {}
        # A set's pod that has been evicted, or ends already, and is not Ready elsewhere yet.
        self._awaited: dict[str, Leaving] = {}

    def whose(
        self, node: str, rest: Sequence[Leaving], ending: Iterable[Leaving], is_back: Callable[[Leaving], bool]
    ) -> list[Leaving]:
        """Return the sets' pods of ``node`` whose turn it is; ``rest`` is what is left there, ``ending`` ends already.

        Those that were awaited and that ``is_back`` tells to run elsewhere, or not to be wanted, are awaited no more.
        """
        with self._guard:
            self._says(node, {key: pods[0].ordinal for key, pods in in_order(rest).items()})
            for key, pods in in_order(ending).items():
                self._awaited.setdefault(key, pods[0])
            mine = {key: pod for key, pod in self._awaited.items() if pod.node in {node, *self._left}}
            for key in [key for key, pod in mine.items() if is_back(pod)]:
                del self._awaited[key]
            return [pods[0] for key, pods in in_order(rest).items() if self._may_go(key, pods[0])]

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
            self._says(node, {})
            self._left.add(node)

    def _says(self, node: str, numbers: dict[str, int]) -> None:
        self._silent.discard(node)
        self._numbers[node] = numbers

    def _may_go(self, key: str, pod: Leaving) -> bool:
        highest = max(numbers.get(key, -1) for numbers in self._numbers.values())
        return not self._silent and key not in self._awaited and pod.ordinal == highest
