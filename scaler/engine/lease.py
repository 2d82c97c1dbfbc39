"""Hold the cluster's Lease while a run goes on; before each step it is asked whether the Lease is still this run's.

How long the Lease holds is counted from before a renewal was sent, so this run believes it lost earlier than anybody
else may. Nobody takes a Lease that has run out without being told to: see ``scaler unlock``.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scaler.errors import LockedError, ScalerError, UnreachableError
from scaler.gateways import lease
from scaler.gateways.lease import TakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scaler.gateways.clock import Clock
    from scaler.gateways.kube import Kube
    from scaler.gateways.lease import Held
    from scaler.model.holder import Holder

# 10 s of 60: five renewals in a row may be lost.
RENEWALS = 6
_ATTEMPTS = 4
_RELEASES = 3
_RETRY_SECONDS = 1.0
UNLOCK = "see that nothing works on this cluster any more, then: scaler unlock --i-checked"


class Lease:
    """One run's hold on the cluster."""

    def __init__(self, kube: Kube, clock: Clock, cluster: str, holder: Holder, seconds: int) -> None:
        self._kube, self._clock = kube, clock
        self._cluster, self._holder, self._seconds = cluster, holder, seconds
        self._guard = threading.Lock()
        self._held: Held | None = None
        self._written = False
        self._lost = ""
        self._at = (0.0, 0.0)

    def take(self, may_follow: Callable[[Held], bool]) -> None:
        """Take a Lease that is free, or that of a run which ``may_follow`` knows to have ended.

        Raises LockedError with who holds it. Where an answer was lost, who holds it is read, not guessed.
        """
        failure: ScalerError = LockedError(f"the lease of cluster {self._cluster} cannot be taken")
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._clock.sleep(_RETRY_SECONDS)
            try:
                seen = lease.read(self._kube)
                if seen.held and not self._is_ours(seen.held) and not may_follow(seen.held):
                    raise self._refusal(seen.held)
                self._write(seen.version)
            except (TakenError, UnreachableError) as e:
                failure = e
            else:
                return
        raise failure

    def renew(self) -> None:
        """Write the time; another holder is noted, and told to who asks. Raises what kept it from being written."""
        with self._guard:
            if self._held is None or self._lost:
                return
            try:
                self._write(self._held.version)
            except TakenError:
                # An answer that was lost leaves the same trace as another writer: the reading tells them apart.
                found = lease.look(self._kube)
                if found and self._is_ours(found):
                    self._write(found.version)
                else:
                    who = found.told(self._clock.now()) if found else "nobody; somebody took it away"
                    self._lost = f"the lease of cluster {self._cluster} is held by {who}"

    def must_hold(self) -> None:
        """Raise LockedError where the Lease is somebody else's, or could not be renewed until it ran out."""
        why = ""
        if self._age() > 2 * self._seconds / RENEWALS:
            try:
                self.renew()
            except ScalerError as e:
                why = f": {e.message}"
        if self._lost:
            raise LockedError(
                f"{self._lost}; nothing more is done",
                hint="see what the other one did, then run the same command again",
            )
        if self._age() >= self._seconds:
            raise LockedError(
                f"the lease of cluster {self._cluster} could not be renewed for {self._age():.0f} s and has run out"
                f"{why}; nothing more is done",
                hint="see that the API answers, then run the same command again",
            )

    def release(self) -> None:
        """Give it back if it is still ours; raises UnreachableError where it cannot be given back now."""
        with self._guard:
            if not self._written or self._lost:
                return
            for attempt in reversed(range(_RELEASES)):
                try:
                    found = self._held or lease.look(self._kube)
                    if found and self._is_ours(found):
                        lease.free(self._kube, found)
                except (TakenError, UnreachableError) as e:
                    # Was it a write of ours whose answer was lost, or somebody else's? The next look tells.
                    if not attempt and not isinstance(e, TakenError):
                        raise
                    self._held = None
                else:
                    self._held = None
                    return

    def _is_ours(self, found: Held) -> bool:
        return found.holder.identity == self._holder.identity

    def _write(self, version: str) -> None:
        now = self._moment()
        self._written = True
        self._held = lease.write(self._kube, self._holder, self._seconds, self._clock.now(), version)
        self._at = now

    def _moment(self) -> tuple[float, float]:
        return self._clock.monotonic(), self._clock.now().timestamp()

    def _age(self) -> float:
        """Return the seconds since it was renewed; while a machine is suspended its monotonic clock stands still."""
        return max(now - then for now, then in zip(self._moment(), self._at, strict=True))

    def _refusal(self, found: Held) -> LockedError:
        now = self._clock.now()
        hint = "it was killed, or is cut off"
        if found.ends_in(now) > 0:
            hint = "wait until that run has ended, then try again; if its process is gone"
        return LockedError(f"cluster {self._cluster} is being changed: {found.told(now)}", hint=f"{hint}: {UNLOCK}")


@contextmanager
def held(lease: Lease, seconds: int, may_follow: Callable[[Held], bool], warn: Callable[[str], None]) -> Iterator[None]:
    """Take the Lease, renew it in a thread meanwhile, and give it back however this ends."""
    ended = threading.Event()

    def renew() -> None:
        period = seconds / RENEWALS
        wait = period
        while not ended.wait(wait):
            wait = period
            try:
                lease.renew()
            except ScalerError:
                # The API may blink while masters change; until the Lease runs out it is tried again.
                wait = period / 4

    thread = threading.Thread(target=renew, daemon=True)
    try:
        lease.take(may_follow)
        thread.start()
        yield
    finally:
        ended.set()
        try:
            lease.release()
        except ScalerError as e:
            warn(f"the lease could not be given back ({e.message}); it runs out within {seconds} s, then: {UNLOCK}")
