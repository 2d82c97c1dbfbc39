"""Which addresses a host has, and on which interface, told by ``ip`` in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scaler.errors import ScalerError

if TYPE_CHECKING:
    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host


def interfaces(ssh: Ssh, host: Host) -> dict[str, str]:
    """Return the interface of each address that ``host`` has."""
    said = ssh.run(host, ["ip", "-json", "address", "show"])
    if said.status != 0:
        raise ScalerError(f"{host.name}: ip does not tell its addresses: {said.err.strip()}")
    return {
        address["local"]: interface["ifname"]
        for interface in json.loads(said.out)
        for address in interface.get("addr_info", ())
        if "local" in address
    }


def interface_of(ssh: Ssh, host: Host, address: str) -> str:
    """Return the interface that has ``address``; raises ScalerError where none has."""
    found = interfaces(ssh, host).get(address)
    if found is None:
        raise ScalerError(f"{host.name}: no interface has {address}", hint="correct ansible_host")
    return found
