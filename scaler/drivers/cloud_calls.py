"""How requests to clouds are repeated: the one policy of all drivers.

A read may always be repeated. A write that names what shall be may be repeated where the cloud has answered. A write
that names how much more is repeated only where the cloud said that it did not begin it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    QuotaError,
    ScalerError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)

if TYPE_CHECKING:
    from scaler.gateways.clock import Clock
    from scaler.model.pools import Cause

T = TypeVar("T")
Translate = Callable[[Exception], ScalerError | None]
"""Tells which error an SDK's exception is; None where it is no exception of the SDK's, but a defect of ours."""

ATTEMPTS = 5
LONGEST_SECONDS = 30.0
_CAUSES: dict[type[CloudError], Cause] = {
    QuotaError: "quota",
    SoldOutError: "sold-out",
    ConflictError: "conflict",
    CredentialsError: "credentials",
}


def cause_of(kind: type[CloudError]) -> Cause:
    """Return the cause of an operation's failure, where the same in a request is an error of ``kind``."""
    return _CAUSES.get(kind, "cloud")


def error_of(cause: str, other: type[CloudError]) -> type[CloudError]:
    """Return the kind of error that ``cause`` is, ``other`` where it has none of its own."""
    return next((kind for kind, word in _CAUSES.items() if word == cause), other)


class Calls:
    """Makes one driver's requests; ``pause`` is the first one's length in seconds, each next one is twice as long."""

    def __init__(self, clock: Clock, translate: Translate, *, pause: float = 1.0) -> None:
        self._clock = clock
        self._translate = translate
        self._pause = pause

    def read(self, act: Callable[[], T]) -> T:
        """Make a request that changes nothing."""
        try:
            return self._repeated(act, lambda e: e.transient or isinstance(e, ThrottledError | AmbiguousError))
        except AmbiguousError as e:
            raise CloudError(e.message, hint=e.hint) from e

    def absolute(self, act: Callable[[], T]) -> T:
        """Make a request that names what shall be."""
        return self._repeated(act, lambda e: e.transient or isinstance(e, ThrottledError))

    def once(self, act: Callable[[], T]) -> T:
        """Make a request that must not be made twice."""
        try:
            return self._repeated(act, lambda e: isinstance(e, ThrottledError))
        except CloudError as e:
            if not e.transient:
                raise
            raise AmbiguousError(e.message, hint="look what is there before you ask again") from e

    def _repeated(self, act: Callable[[], T], again: Callable[[CloudError], bool]) -> T:
        pause = self._pause
        for attempt in range(1, ATTEMPTS + 1):
            error = None
            try:
                return act()
            except ScalerError as e:
                error = e
            except Exception as e:
                error = self._translate(e)
                if error is None:
                    raise
                error.__cause__ = e
            may = isinstance(error, UnreachableError) or (isinstance(error, CloudError) and again(error))
            if attempt == ATTEMPTS or not may:
                raise error
            self._clock.sleep(min(pause, LONGEST_SECONDS))
            pause *= 2
        raise AssertionError  # the last attempt returns or raises
