"""Take back what a run did on one host: the one walk that a failing host and a rollback share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler import steps
from scaler.errors import ScalerError
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.model.inventory import Subject
    from scaler.steps.world import AnyWorld


def has_something_to_take_back(begun: Sequence[str]) -> bool:
    """Tell whether any of the steps that were begun has."""
    return not all(isinstance(steps.find(step), Irreversible) for step in begun)


def take_back(world: AnyWorld, host: Subject, begun: Sequence[str], begins: Callable[[str], None]) -> tuple[str, str]:
    """Undo the ``begun`` steps on ``host``, last first, telling ``begins`` of each.

    Returns the step at which it had to stop and the reason, both empty where everything was taken back.
    """
    for step in reversed(begun):
        if not isinstance(steps.find(step), Irreversible):
            begins(step)
        try:
            steps.find(step).undo(world, host)
        except ScalerError as e:
            return step, e.message
    return "", ""
