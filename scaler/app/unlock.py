"""Tell who holds a cluster's locks, and take out a Lease whose run has died."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.engine import lock
from scaler.errors import LockedError
from scaler.gateways import lease
from scaler.gateways.clock import wait_until
from scaler.gateways.lease import TakenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.app.runner import Runner
    from scaler.gateways.lease import Held
    from scaler.model.holder import Holder

_LOOK_SECONDS = 2.0


class Locks(NamedTuple):
    """Who holds the lock of this machine, and who the cluster's Lease; None where nobody does."""

    lock: Holder | None
    lease: Held | None


def look(session: Runner) -> Locks:
    """Look at both locks; nothing is changed."""
    return Locks(lock.look(session.name), lease.look(session.kube))


def remove(session: Runner, found: Held, progress: Callable[[str], None]) -> None:
    """Take ``found`` out of the cluster, once it was seen for its whole time not to be renewed.

    No two clocks need to agree for that: only this machine's own seconds count. Raises LockedError where it lives.
    """
    now = session.clock.now()
    left = found.ends_in(now)
    # More than its whole time is left only where the holder's clock is ahead; then its word says nothing.
    if 0 < left <= found.seconds:
        raise LockedError(
            f"the lease of cluster {session.name} has not run out: {found.told(now)}",
            hint=f"try again in {left:.0f} s; a run that lives renews it until it ends",
        )
    progress(f"watching for {found.seconds} s whether the lease is renewed: {found.holder.sentence}")
    seen: Held | None = found

    def changed() -> bool:
        nonlocal seen
        seen = lease.look(session.kube)
        return seen is None or seen.version != found.version

    wait_until(session.clock, changed, timeout=found.seconds, every=_LOOK_SECONDS)
    if seen is None:
        return
    try:
        if seen.version == found.version:
            lease.free(session.kube, found)
            return
    except TakenError:
        seen = lease.look(session.kube) or found
    raise LockedError(
        f"the lease of cluster {session.name} lives: {seen.holder.sentence}",
        hint="wait until that run has ended, or interrupt it where it runs",
    )
