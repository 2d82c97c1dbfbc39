"""A node is one machine: its name, address, machine-id and product_uuid belong to nobody else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tunnels have an IP address or nothing there, and zeros belong to everybody.
_MAC = re.compile(r"(?!(?:00:)*00$)[0-9a-f]{2}(?::[0-9a-f]{2}){5,}")
_CLONE = "a cloned machine: remove /etc/machine-id, run systemd-machine-id-setup, and reboot it"


def _look(subject: Subject) -> Iterator[Told]:
    facts, host = subject.facts, subject.host
    if not facts.machine_id:
        yield Told("/etc/machine-id is empty", "run systemd-machine-id-setup")
    if host.address not in facts.addresses:
        yield Told(
            f"address {host.address} is not on the host (it has {', '.join(facts.addresses)})", "correct ansible_host"
        )
    yield from _among_nodes(subject)
    for other, theirs in subject.others:
        if facts.machine_id and theirs.machine_id == facts.machine_id:
            yield Told(f"machine-id {facts.machine_id} is also {other.name}'s", _CLONE)
        if facts.product_uuid and theirs.product_uuid == facts.product_uuid:
            yield Told(
                f"product_uuid {facts.product_uuid} is also {other.name}'s", "give the virtual machine its own UUID"
            )
        shared = sorted(mac for mac in set(theirs.macs) & set(facts.macs) if _MAC.fullmatch(mac))
        if shared:
            yield Told(f"MAC {shared[0]} is also {other.name}'s", "give it its own MAC")


def _among_nodes(subject: Subject) -> Iterator[Told]:
    facts, host = subject.facts, subject.host
    for node in subject.state.nodes:
        info = node.status.info
        if node.name == host.name:
            if info.machine_id and info.machine_id != facts.machine_id:
                yield Told(
                    f"node {node.name} exists and is another machine (machine-id {info.machine_id})",
                    "choose another name, or remove that node first",
                )
            continue
        if node.internal_ip == host.address:
            yield Told(f"address {host.address} is node {node.name}'s already", "correct the address")
        if info.machine_id and info.machine_id == facts.machine_id:
            yield Told(f"machine-id {facts.machine_id} is also node {node.name}'s", _CLONE)
        if facts.product_uuid and info.system_uuid.lower() == facts.product_uuid:
            yield Told(f"product_uuid is also node {node.name}'s", "give the virtual machine its own UUID")


CHECK = Check("identity", _look)
