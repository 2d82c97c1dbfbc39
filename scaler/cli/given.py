"""A host that is given whole on the command line."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host


def given_host(hosts: Sequence[str], *, name: str, user: str, port: int, key: Path | None) -> Host | None:
    """Return the host that an address and its options describe, None where ``hosts`` are inventory names."""
    addresses = [host for host in hosts if _looks_like_an_address(host)]
    if not addresses:
        if name:
            raise InputError("--name goes with an address", hint="scaler add-node 10.0.0.17 --name n7 …")
        return None
    if len(hosts) > 1:
        raise InputError("one address at a time", hint="put several hosts under 'standby' in the inventory, name them")
    if not name:
        raise InputError(f"{hosts[0]} is an address, the node needs a name", hint="say --name NAME")
    if key is not None and not key.expanduser().is_file():
        raise InputError(f"--key {key}: no such file")
    path = key.expanduser().resolve() if key else None
    # main imports every module here, and --help is to be quick.
    from pydantic import ValidationError

    from scaler.model.base import tell
    from scaler.model.inventory import Host

    connection = {"address": hosts[0], "user": user, "port": port, "key": path}
    try:
        return Host.model_validate({"name": name, "connection": connection})
    except ValidationError as e:
        raise tell("the command line", e, names={"connection": "", "address": "HOST"}) from e


def _looks_like_an_address(text: str) -> bool:
    """Tell an address, also a wrong one like 999.1.1.1, from a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(re.fullmatch(r"[\d.]+", text)) or ":" in text
    return True
