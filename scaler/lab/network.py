"""The lab's cable: one bridge from which nothing leaves this machine, and what the machine itself needs for it."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import LabError
from scaler.lab.layout import BRIDGE_PREFIX, RUNTIME
from scaler.lab.tools import do

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scaler.lab.layout import Lab

POD_NETWORK = IPv4Network("10.244.0.0/16")
SERVICE_NETWORK = IPv4Network("10.96.0.0/16")
SUBNETS = IPv4Network("10.213.0.0/16")

# Marks the routes as the lab's own: a number no routing daemon uses.
_PROTOCOL = "213"
_SAVED = RUNTIME / "machine.json"
# Not namespaced. The kubelet writes the last three into the whole machine; they are set beforehand, so that what
# they were is known and comes back. The first is a limit that all hosts share.
_SYSCTLS = {
    "fs/inotify/max_user_instances": "8192",
    "vm/overcommit_memory": "1",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
}


def pick_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Choose the first of the lab's subnets that overlaps none of ``taken``."""
    used = list(taken)
    for subnet in SUBNETS.subnets(new_prefix=24):
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise LabError(f"no free subnet in {SUBNETS}", hint="take a lab down that is not needed")


def parse_routes(text: str) -> list[IPv4Network]:
    """Read the networks out of ``ip -json route``; the default route is none."""
    routes = [route["dst"] for route in json.loads(text or "[]")]
    return [IPv4Network(destination) for destination in routes if destination != "default"]


def machine_networks() -> list[IPv4Network]:
    """Every network this machine has a route to."""
    return parse_routes(do(["ip", "-json", "-4", "route", "show", "table", "all"]).out)


def ensure(lab: Lab, subnet: IPv4Network) -> None:
    """Make bridge, fence, routes and settings, each unless it is there; the fence stands before a host can send."""
    RUNTIME.mkdir(parents=True, exist_ok=True)
    _save_sysctls()
    for network in (POD_NETWORK, SERVICE_NETWORK):
        if network not in _own_routes():
            do(
                ["ip", "route", "add", "unreachable", str(network), "proto", _PROTOCOL],
                hint=f"the lab's clusters use {network}, this machine must not",
            )
    for rule in _rules(lab.bridge):
        if do(["iptables", "-w", "-C", *rule], check=False).status != 0:
            do(["iptables", "-w", "-I", *rule])
    if not exists(lab.bridge):
        # With an address of its own it does not take that of whatever hangs on it, which changes.
        mac = "02:5d:" + ":".join(f"{octet:02x}" for octet in subnet[1].packed)
        do(["ip", "link", "add", lab.bridge, "address", mac, "type", "bridge"])
        do(["ip", "link", "set", lab.bridge, "alias", str(lab.root)])
    elif not _is_ours(lab):
        raise LabError(f"{lab.bridge} is there and not this lab's ({lab.root})", hint="give the lab another name")
    no_ipv6 = Path("/proc/sys/net/ipv6/conf") / lab.bridge / "disable_ipv6"
    if no_ipv6.exists():
        no_ipv6.write_text("1")
    do(["ip", "address", "replace", f"{subnet[1]}/{subnet.prefixlen}", "dev", lab.bridge])
    do(["ip", "link", "set", lab.bridge, "up"])


def remove(lab: Lab) -> None:
    """Take away what ``ensure`` made; what all labs share goes with the last of them."""
    if exists(lab.bridge) and _is_ours(lab):
        do(["ip", "link", "delete", lab.bridge])
    if exists(lab.bridge):
        return
    for rule in _rules(lab.bridge):
        while do(["iptables", "-w", "-C", *rule], check=False).status == 0:
            do(["iptables", "-w", "-D", *rule])
    if any(link.name.startswith(BRIDGE_PREFIX) for link in Path("/sys/class/net").iterdir()):
        return
    for network in _own_routes():
        do(["ip", "route", "delete", "unreachable", str(network), "proto", _PROTOCOL])
    _restore_sysctls()


def exists(link: str) -> bool:
    """Tell whether this machine has a network link of that name."""
    return (Path("/sys/class/net") / link).exists()


def set_link(link: str, *, up: bool) -> None:
    """Plug or pull a cable."""
    do(["ip", "link", "set", link, "up" if up else "down"])


def _rules(bridge: str) -> tuple[list[str], list[str]]:
    mark = ["-m", "comment", "--comment", f"scaler lab {bridge}"]
    # Inserted one after the other, so the second comes to stand first: hosts talk to each other and to nobody else.
    return (
        ["FORWARD", "-i", bridge, *mark, "-j", "REJECT"],
        ["FORWARD", "-i", bridge, "-o", bridge, *mark, "-j", "ACCEPT"],
    )


def _is_ours(lab: Lab) -> bool:
    alias = Path("/sys/class/net") / lab.bridge / "ifalias"
    # A bridge without an alias is one whose making was cut short between two commands.
    return alias.read_text().strip() in {"", str(lab.root)}


def _own_routes() -> list[IPv4Network]:
    return parse_routes(do(["ip", "-json", "-4", "route", "show", "proto", _PROTOCOL, "type", "unreachable"]).out)


def _save_sysctls() -> None:
    values = {name: (Path("/proc/sys") / name).read_text().strip() for name in _SYSCTLS}
    if not _SAVED.exists():
        new = _SAVED.with_suffix(".new")
        new.write_text(json.dumps(values))
        new.replace(_SAVED)
    for name, wanted in _SYSCTLS.items():
        enough = name.startswith("fs/") and int(values[name]) >= int(wanted)
        if values[name] != wanted and not enough:
            (Path("/proc/sys") / name).write_text(wanted)


def _restore_sysctls() -> None:
    if _SAVED.exists():
        for name, value in json.loads(_SAVED.read_text()).items():
            if name in _SYSCTLS:
                (Path("/proc/sys") / name).write_text(value)
        _SAVED.unlink()
