"""Let what is under way through the VIP come to its end while the VIP moves: no connection is cut, none hangs.

The host that gives the VIP away keeps it on its loopback, where nobody hears of it: it goes on answering those who have
not learned yet where the VIP is now, and its answers to what it took before still leave. A host that may get the VIP
sends on to it the packets of connections that are none of its own, which it would otherwise reset.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.addresses import interface_of
from scaler.gateways.ssh import on_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host
    from scaler.steps.base import World

# Neither answers for the VIP at the cable nor asks in its name (Documentation/networking/ip-sysctl of Linux).
# What ARP was like is kept outside of what wiping a host removes.
HOLD = """
set -e
own=/proc/sys/net/ipv4/conf/$2
[ -e /run/scaler-vip ] || cat "$own/arp_ignore" "$own/arp_announce" > /run/scaler-vip
echo 1 > "$own/arp_ignore"
echo 2 > "$own/arp_announce"
ip address replace "$1/32" dev lo
"""
LET_GO = """
[ -e /run/scaler-vip ] || exit 0
own=/proc/sys/net/ipv4/conf/$2
ip address delete "$1/32" dev lo 2> /dev/null
{ read -r ignore; read -r announce; } < /run/scaler-vip
echo "$ignore" > "$own/arp_ignore" && echo "$announce" > "$own/arp_announce" && rm /run/scaler-vip
"""
_RULE = '-d "$1/32" -p tcp --dport "$2" ! --syn -j SCALER-VIP'
# Packets of a connection of this host's own have a socket here.
SEND_ON = f"""
set -e
table="iptables -w -t mangle"
$table -N SCALER-VIP 2> /dev/null || $table -F SCALER-VIP
$table -A SCALER-VIP -m socket -j RETURN
$table -A SCALER-VIP -j TEE --gateway "$3"
$table -A SCALER-VIP -j DROP
$table -C PREROUTING {_RULE} 2> /dev/null || $table -I PREROUTING {_RULE}
"""
SEND_NOTHING_ON = f"""
table="iptables -w -t mangle"
$table -S SCALER-VIP > /dev/null 2>&1 || exit 0
$table -D PREROUTING {_RULE} 2> /dev/null
$table -F SCALER-VIP && $table -X SCALER-VIP
"""


def begin(world: World, host: Host, others: Sequence[Host]) -> str:
    """Let ``host`` keep what it has begun when the VIP goes to one of ``others``; return why it does not, if so.

    Where that cannot be, the VIP moves as Keepalived moves it: what is under way through it may break.
    """
    vip = world.cluster.settings.vip or ""
    if ipaddress.ip_address(vip).version != 4:  # noqa: PLR2004 - IPv4
        return "this is done for IPv4 only"
    argv = [vip, str(world.cluster.settings.api_port), host.address]
    told = {
        host.name: _at_its_interface(world, host, HOLD),
        **on_each(others, lambda other: _why_not(world, other, SEND_ON, argv)),
    }
    return "; ".join(f"{name}: {why}" for name, why in told.items() if why)


def end(world: World, host: Host, others: Sequence[Host]) -> None:
    """Take back what ``begin`` did, as far as it is there; what could not be is the run's to tell."""
    vip = world.cluster.settings.vip or ""
    argv = [vip, str(world.cluster.settings.api_port)]
    told = {
        host.name: _at_its_interface(world, host, LET_GO),
        **on_each(others, lambda other: _why_not(world, other, SEND_NOTHING_ON, argv)),
    }
    left = "; ".join(f"{name}: {why}" for name, why in told.items() if why)
    if left:
        world.later[host.name] = f"packets for the VIP may still be sent on to it: {left}"


def _at_its_interface(world: World, host: Host, script: str) -> str:
    try:
        interface = interface_of(world.ssh, host, host.address)
    except ScalerError as e:
        return e.message
    return _why_not(world, host, script, [world.cluster.settings.vip or "", interface])


def _why_not(world: World, host: Host, script: str, argv: Sequence[str]) -> str:
    try:
        said = world.ssh.run(host, ["sh", "-c", script, "vip", *argv])
    except ScalerError as e:
        return e.message
    return "" if said.status == 0 else said.err.strip() or f"exit status {said.status}"
