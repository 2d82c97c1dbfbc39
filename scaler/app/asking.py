"""Ask many at once and wait only so long: what has not answered by then, or failed, is an error in its place."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from scaler.errors import ScalerError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scaler.gateways.clock import Clock

T = TypeVar("T")


def caught(work: Callable[[], T]) -> T | ScalerError:
    """Do ``work``; whatever it fails with becomes its result, since one bad answer must not hide the others."""
    try:
        return work()
    except ScalerError as e:
        return e
    except Exception as e:  # noqa: BLE001 - what answers strangely is not known, and the rest is shown
        return ScalerError(f"{type(e).__name__}: {e}")


def late(seconds: float) -> ScalerError:
    """Return the error of somebody who has not answered in time."""
    return UnreachableError(f"no answer within {seconds:g} s")


def at_once(clock: Clock, work: Mapping[str, Callable[[], T]], *, seconds: float) -> dict[str, T | ScalerError]:
    """Do all of ``work`` at once, for at most ``seconds``; who is late is left behind and ends with the program."""
    results: dict[str, T | ScalerError] = {}

    def one(name: str) -> None:
        results[name] = caught(work[name])

    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in work]
    for thread in threads:
        thread.start()
    end = clock.monotonic() + seconds
    for thread in threads:
        thread.join(timeout=max(0.0, end - clock.monotonic()))
    told = dict(results)
    return {name: told[name] if name in told else late(seconds) for name in work}
