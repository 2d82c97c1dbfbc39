"""What the steps of a removal share: a host, or its Node, is still the one that the plan saw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from scaler.errors import ScalerError
from scaler.plan.plan import Seen

if TYPE_CHECKING:
    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host
    from scaler.model.state import Node
    from scaler.plan.plan import AnyPlan

MARK = "scaler.dev/leaving-in-run"
RECEIPTS = {"workers": "worker", "masters": "master", "etcd": "etcd"}
# What a host has for being in a group, whoever put it there.
FILES = {"workers": "/var/lib/kubelet", "masters": "/etc/kubernetes", "etcd": "/var/lib/etcd"}


class Found(NamedTuple):
    """What a host says it is: its machine ID, whose bundle it has, and whether it has files for being in its group."""

    machine_id: str
    claim: dict[str, Any] | None
    files: bool


def look_at(ssh: Ssh, host: Host, group: str) -> Found:
    """Ask ``host`` what it is; ``group`` says which of scaler's receipts is meant. A host without one has no claim."""
    machine = ssh.run(host, ["cat", "/etc/machine-id"], timeout=20)
    if machine.status != 0 or not machine.out.strip():
        raise ScalerError(
            f"{host.name} does not tell its machine ID: {machine.err.strip() or '/etc/machine-id is empty'}"
        )
    receipt = ssh.run(host, ["cat", f"/var/lib/scaler/{RECEIPTS[group]}.json"], timeout=20)
    files = ssh.run(host, ["ls", "-A", FILES[group]], timeout=20)
    return Found(
        machine.out.strip(), _claim(host, receipt.out) if receipt.status == 0 else None, bool(files.out.strip())
    )


def _claim(host: Host, text: str) -> dict[str, Any]:
    try:
        claim: dict[str, Any] = json.loads(text).get("claim", {})
    except ValueError as e:
        raise ScalerError(f"{host.name}: scaler's receipt there cannot be read: {e}") from e
    return claim


def not_ours(found: Found, host: Host, cluster: str) -> str:
    """Say whose host it is by its receipt, empty where it is this cluster's node of that name, or says nothing."""
    claim = found.claim or {}
    theirs = (claim.get("cluster", cluster), claim.get("node", host.name))
    return "" if theirs == (cluster, host.name) else f"the host says it is node {theirs[1]} of cluster {theirs[0]}"


def seen(plan: AnyPlan, name: str) -> Seen:
    """Return how the plan saw ``name``."""
    return plan.seen.get(name, Seen())


def is_same(plan: AnyPlan, node: Node) -> bool:
    """Tell whether ``node`` is the one that the plan saw, or the same machine's, registered anew."""
    known, machine = seen(plan, node.name), node.status.info.machine_id
    return known.uid == node.metadata.uid or bool(machine and machine == known.machine_id)


def another(node: Node) -> str:
    """Say that ``node`` is not the one that the plan saw."""
    return f"node {node.name} is not the one that was planned for (uid {node.metadata.uid}); it is left alone"
