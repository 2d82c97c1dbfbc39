"""What networks with route reflectors share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.state import Node

# A mesh of N nodes has N*(N-1)/2 sessions.
MESH_LIMIT = 100


def last_ones(reflectors: Sequence[str], names: Sequence[str], nodes: Sequence[Node]) -> str:
    """Say that the last living of ``reflectors`` would leave while other nodes need them, empty where not."""
    going = sorted(set(reflectors) & set(names))
    left = [node.name for node in nodes if node.name in reflectors and node.name not in names and node.ready]
    others = [node.name for node in nodes if node.name not in names]
    if not going or left or not others:
        return ""
    last = "is the last route reflector" if len(going) == 1 else "are the last route reflectors"
    return f"{', '.join(going)} {last}: {len(others)} other nodes would get no routes any more"


def mesh_warning(count: int) -> tuple[str, ...]:
    """Warn of a full mesh of ``count`` nodes where that is many."""
    if count <= MESH_LIMIT:
        return ()
    sessions = count * (count - 1) // 2
    return (
        f"{count} nodes in a full mesh keep {sessions} BGP sessions: docs/reference/cni.md tells how to reflectors",
    )
