"""What etcd versions are known to do wrong when members change (etcd's changelogs), as warnings and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.model.version_facts import facts
from scaler.model.versions import newest_row, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_WITH_LEARNERS = (3, 4, 0)


def parsed(version: str) -> tuple[int, int, int]:
    """Return the three numbers of ``version``, like 3.5.9."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def refusal(version: str) -> str:
    """Return why members cannot be added safely with ``version``; empty where they can."""
    if parsed(version) < FIRST_WITH_LEARNERS:
        return (
            f"etcd {version} has no learners (3.4 has): a new voter counts before it starts, and the step from one "
            "member to two stops every write until it does"
        )
    return ""


def traps(version: str) -> tuple[str, ...]:
    """Return what to know about ``version`` after its members changed; nothing where its patch is not told."""
    found = parts(version)
    told = []
    if len(found) < len(FIRST_WITH_LEARNERS):
        return ()
    if (3, 5, 1) <= found < (3, 5, 20):
        told.append(
            f"etcd {version} does not persist a promotion in its newer store: after an upgrade to 3.6 voters come back "
            "as learners; go to 3.5.26 or newer before 3.6"
        )
    elif (3, 5, 20) <= found < (3, 5, 24) or (3, 6, 0) <= found < (3, 6, 4):
        told.append(f"etcd {version} may carry an unpersisted promotion across an upgrade; newer patches mend it")
    return tuple(told)


def beside(version: str, kubernetes: str) -> Iterator[str]:
    """Tell where etcd ``version`` is older than what a ``kubernetes`` of that version is known to run with."""
    least = newest_row(facts().etcd_min, kubernetes)
    if least and parts(version) and parts(version) < parts(least):
        yield f"etcd {version} is older than Kubernetes {kubernetes} is known to run with: {least} or newer"
