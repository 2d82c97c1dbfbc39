"""A pool of one's own machines as it stands now."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scaler.model.base import Value


class Machine(Value):
    """One host of a pool: among the workers or on standby; ``ready`` is its Node's, and None where it has none."""

    name: str
    group: Literal["workers", "standby"]
    failure_domain: str | None = None
    ready: bool | None = None


class PoolStatus(Value):
    """One pool and its hosts; without a name, the hosts that are in none."""

    name: str | None
    min: int = 0
    max: int | None = None
    labels: dict[str, str] = Field(default={})
    taints: tuple[str, ...] = ()
    machines: tuple[Machine, ...] = ()

    @property
    def workers(self) -> tuple[Machine, ...]:
        """The hosts that work."""
        return tuple(machine for machine in self.machines if machine.group == "workers")

    @property
    def standby(self) -> tuple[Machine, ...]:
        """The hosts that wait."""
        return tuple(machine for machine in self.machines if machine.group == "standby")

    @property
    def domains(self) -> dict[str, tuple[int, int]]:
        """Each failure domain with how many work and how many wait there."""
        names = sorted({machine.failure_domain or "" for machine in self.machines})

        def count(machines: tuple[Machine, ...], name: str) -> int:
            return sum((machine.failure_domain or "") == name for machine in machines)

        return {name: (count(self.workers, name), count(self.standby, name)) for name in names}
