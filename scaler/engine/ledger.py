"""The autoscaler's ledger on the disk: replaced whole, flushed before anybody is told yes, and one server's only."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from scaler.engine.journal import state_dir
from scaler.errors import InputError, LockedError, ScalerError
from scaler.gateways.files import write_atomically
from scaler.model.node_groups import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def ledger_path(cluster: str) -> Path:
    """Return where the ledger of ``cluster`` is."""
    return state_dir() / cluster / "autoscaler.json"


@contextmanager
def only_server(cluster: str) -> Iterator[None]:
    """Be the one server of ``cluster`` on this machine; the lock ends with the process."""
    path = ledger_path(cluster).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LockedError(
            f"an autoscaler's server for cluster {cluster} runs on this machine already",
            hint=f"stop that one first: systemctl stop scaler-autoscaler-{cluster}, or end its process",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


class Book:
    """The ledger, in memory and on the disk: what is not on the disk was never said."""

    def __init__(self, cluster: str) -> None:
        self._path = ledger_path(cluster)
        self._lock = threading.RLock()
        self._ledger = _read(self._path)

    @property
    def ledger(self) -> Ledger:
        """The ledger as it is now."""
        return self._ledger

    @contextmanager
    def steady(self) -> Iterator[Ledger]:
        """Let nobody change the ledger meanwhile."""
        with self._lock:
            yield self._ledger

    def change(self, how: Callable[[Ledger], Ledger]) -> Ledger:
        """Replace the ledger by what ``how`` makes of it, one change after the other; return the new one.

        Where it cannot be written nothing has changed, and ScalerError says so.
        """
        with self._lock:
            new = how(self._ledger)
            if new != self._ledger:
                try:
                    write_atomically(self._path, new.model_dump_json(indent=1).encode(), mode=0o600)
                except OSError as e:
                    raise ScalerError(
                        f"{self._path} cannot be written: {e.strerror}", hint="make room; nothing was changed"
                    ) from e
                self._ledger = new
            return new


def _read(path: Path) -> Ledger:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Ledger()
    try:
        return Ledger.model_validate_json(text)
    except ValidationError as e:
        raise InputError(
            f"{path} is not a ledger of this scaler: {e.errors()[0]['msg']}",
            hint="put it aside; what the autoscaler wanted and had not got is asked for anew",
        ) from e
