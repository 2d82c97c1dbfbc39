"""Who holds a lock, since when and doing what, in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime

from scaler.model.base import Value


class Holder(Value):
    """One process of scaler's that changes a cluster; ``run`` is empty until its run has begun."""

    user: str
    host: str
    pid: int
    since: datetime
    doing: str
    run: str = ""

    @property
    def identity(self) -> str:
        """The holder's name in a Lease: like no other process' and no other run's."""
        return f"{self.user}@{self.host}/{self.pid}/{self.run}"

    @property
    def sentence(self) -> str:
        """Tell a person who it is."""
        run = f", run {self.run}" if self.run else ""
        since = f"{self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.user} on {self.host} (process {self.pid}) since {since}: {self.doing}{run}"
