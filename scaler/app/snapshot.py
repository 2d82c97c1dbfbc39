"""Take a snapshot of etcd, checked, onto this machine, and keep the newest few of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.app.runner import new_run_id
from scaler.engine.journal import state_dir
from scaler.errors import InputError, StepError
from scaler.gateways.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scaler.app.session import Session

# Those of changes are called etcd-…, and each kind keeps its own number.
_NAME = "snapshot"


class Taken(NamedTuple):
    """A snapshot: where it is, what it holds, and which older ones made room for it."""

    path: Path
    revision: int
    keys: int
    size: int
    digest: str
    removed: tuple[Path, ...]


def take(session: Session, directory: Path | None, *, keep: int, progress: Callable[[str], None]) -> Taken:
    """Save a snapshot on a voter, verify it there, copy it here, compare, and remove what is older than the newest.

    Raises StepError where what came is older than etcd was before; nothing older is removed then.
    """
    place = directory or state_dir() / session.name / "snapshots"
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise InputError(f"{place} cannot be made: {e.strerror}") from e
    progress("asking etcd how far it is")
    before = max((each.header.revision for each in session.etcd.status(session.etcd.members()).values()), default=0)
    target = place / f"{_NAME}-{session.name}-{new_run_id(session.clock.now())}.db"
    progress(f"saving a snapshot to {target}")
    try:
        told = session.etcd.snapshot(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if told.revision < before:
        target.unlink()
        raise StepError(f"the snapshot has revision {told.revision}, etcd was at {before} before it")
    # Their names end with their time.
    old = sorted(place.glob(f"{_NAME}-{session.name}-*.db"))[:-keep]
    for path in old:
        path.unlink()
    return Taken(target, told.revision, told.total_key, target.stat().st_size, sha256(target), tuple(old))
