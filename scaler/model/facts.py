"""What the probe saw on a host before anything is changed there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scaler.model.base import Value


class Listener(Value):
    """A port somebody listens on, and who."""

    port: int
    process: str


class Space(Value):
    """Room on the file system below a path, in bytes."""

    path: str
    free: int
    writable: bool


class Reach(Value):
    """Whether an endpoint answered a TLS handshake from the host, and if not, why; and the version it tells anybody."""

    endpoint: str
    error: str = ""
    version: str = ""


class Link(Value):
    """A network interface: its MTU, and its addresses with their prefixes."""

    name: str
    mtu: int
    addresses: tuple[str, ...] = ()


class HostFacts(Value):
    """One host as its probe told it; the probe's text is checked by this model before anybody believes it."""

    hostname: str
    machine_id: str
    product_uuid: str
    boot_id: str
    macs: tuple[str, ...]
    addresses: tuple[str, ...]
    arch: str
    os_id: str
    os_version: str
    kernel: str
    python: str
    systemd: bool
    time: float
    cgroup: int
    controllers: tuple[str, ...]
    swaps: tuple[str, ...]
    filesystems: tuple[str, ...]
    sysctls: dict[str, str]
    listeners: tuple[Listener, ...]
    spaces: tuple[Space, ...]
    leftovers: tuple[str, ...]
    ca_digest: str
    receipt: dict[str, str]
    containerd: str
    routes: tuple[str, ...]
    reach: tuple[Reach, ...]
    resolv_conf: bool
    modules: dict[str, Literal["there", "absent", "unknown"]] = Field(default={})
    programs: tuple[str, ...] | None = None
    links: tuple[Link, ...] = ()
    # Which of the units that were asked for run.
    active: tuple[str, ...] = ()

    def link_of(self, address: str) -> Link | None:
        """Return the interface that has ``address``."""
        return next((link for link in self.links if any(a.partition("/")[0] == address for a in link.addresses)), None)

    def with_prefix(self, address: str) -> str:
        """Return ``address`` with its prefix as it stands on the host, alone where it is on none of its interfaces."""
        link = self.link_of(address)
        own = link.addresses if link else ()
        return next((told for told in own if told.partition("/")[0] == address), address)

    def clock_offset(self, before: float, after: float) -> tuple[float, float]:
        """Return how far the host's clock is ahead in seconds, and how exactly that is known."""
        return self.time - (before + after) / 2, (after - before) / 2
