"""The host's clock agrees with this machine's: certificates and leases live by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

# etcd warns from 1 s on; leases and tokens suffer beyond 2 s.
FAIL_SECONDS = 2.0
WARN_SECONDS = 0.5


def _look(subject: Subject) -> Iterator[Told]:
    offset, uncertainty = subject.clock
    certain = abs(offset) - uncertainty
    if certain > WARN_SECONDS:
        side = "ahead of" if offset > 0 else "behind"
        yield Told(
            f"its clock is {abs(offset):.1f} s {side} this machine's",
            "set up chrony or systemd-timesyncd on both",
            warning=certain <= FAIL_SECONDS,
        )


CHECK = Check("clock", _look)
