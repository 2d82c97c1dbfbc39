"""What the probe saw on a host before anything is changed there."""

from __future__ import annotations

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
    programs: tuple[str, ...] | None = None

    def clock_offset(self, before: float, after: float) -> tuple[float, float]:
        """Return how far the host's clock is ahead in seconds, and how exactly that is known."""
        return self.time - (before + after) / 2, (after - before) / 2
