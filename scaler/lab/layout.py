"""Every path and name of a lab, derived from its name in this one place."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network  # noqa: TC003  (a record of hosts is read by pydantic)
from pathlib import Path

from scaler.errors import LabError

BRIDGE_PREFIX = "sclab-"
CGROUP_ROOT = "scaler-lab"
DEFAULT_PARENT = Path("/var/lib/scaler-lab")
PARENT_VARIABLE = "SCALER_LAB_DIR"
# Cleared by a reboot, as are the machine's settings that are remembered in it.
RUNTIME = Path("/run/scaler-lab")

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
# An interface name has 15 characters: "vb-" or "sclab-", then this, and a host's number.
_SHORT = 8


def _parent() -> Path:
    return Path(os.environ.get(PARENT_VARIABLE) or DEFAULT_PARENT).absolute()


@dataclass(frozen=True)
class LabHost:
    """What a host keeps for life: its name, address and hardware address."""

    name: str
    address: IPv4Address
    mac: str


@dataclass(frozen=True)
class Lab:
    """One lab; two labs share nothing but the base image."""

    name: str
    parent: Path = field(default_factory=_parent)

    def __post_init__(self) -> None:
        check_name(self.name, "lab")

    @property
    def root(self) -> Path:
        """All files of the lab."""
        return self.parent / self.name

    @property
    def record(self) -> Path:
        """What the lab is made of: subnet, base image, hosts."""
        return self.root / "lab.json"

    @property
    def inventory(self) -> Path:
        """The inventory of the lab's cluster, its certificates beside it."""
        return self.root / "inventory"

    @property
    def client_key(self) -> Path:
        """The private key that opens every host."""
        return self.root / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Every host's public key under its name and address."""
        return self.root / "ssh" / "known_hosts"

    @property
    def lock(self) -> Path:
        """Held while the lab is made or taken down."""
        return RUNTIME / f"{self.name}.lock"

    @property
    def short(self) -> str:
        """The name, or what stands for it where a name may have few characters."""
        if len(self.name) <= _SHORT:
            return self.name
        return self.name[:3] + hashlib.sha256(self.name.encode()).hexdigest()[: _SHORT - 3]

    @property
    def bridge(self) -> str:
        """The bridge all hosts hang on."""
        return BRIDGE_PREFIX + self.short

    @property
    def cgroup(self) -> str:
        """The cgroup, in each hierarchy, that holds one cgroup a host."""
        return f"{CGROUP_ROOT}/{self.name}"

    def host_dir(self, host: str) -> Path:
        """Where all files of one host are."""
        return self.root / "hosts" / host

    def host_cgroup(self, host: str) -> str:
        """Name the cgroup of one host; whatever runs in it belongs to that host."""
        return f"{self.cgroup}/{host}"

    def machine(self, host: LabHost) -> str:
        """Name a host for systemd-nspawn: unlike its host name, one of a kind on this machine."""
        return f"{self.short}-{host.address.packed[3]}"

    def link(self, host: LabHost) -> str:
        """Name a host's end of the cable, on the bridge."""
        return f"vb-{self.machine(host)}"


def check_name(name: str, what: str) -> None:
    """Refuse a name that could not be a host name and a directory."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is not a {what} name", hint="use lower-case letters, digits and dashes, at most 32")


def place(name: str, subnet: IPv4Network, taken: int) -> LabHost:
    """Make the host that comes after ``taken`` others; .1 is the bridge, so the first one is .2."""
    check_name(name, "host")
    if taken + 3 >= subnet.num_addresses:
        raise LabError(f"no address left for {name} in {subnet}", hint="make a second lab")
    address = subnet[taken + 2]
    # Locally administered; the same address always has the same one, so no neighbour table is ever wrong.
    return LabHost(name, address, "02:5c:" + ":".join(f"{octet:02x}" for octet in address.packed))
