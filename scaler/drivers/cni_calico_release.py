"""Give back what Calico keeps for a node that is gone: its BGPPeers, and the blocks of addresses that were its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scaler.drivers.cni_calico_objects import GROUP, InApi, peers
from scaler.drivers.cni_calico_peering import NODE_LABEL
from scaler.gateways.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.gateways.kube import JsonObject, Kube
    from scaler.model.inventory import Host


def forget_peers(kube: Kube, hosts: Sequence[Host]) -> None:
    """Delete the BGPPeers of nodes called like ``hosts``, and those of others to their addresses."""
    names, addresses = {host.name for host in hosts}, {host.address for host in hosts}
    found = [
        peer.name
        for peer in peers(InApi(kube))
        if peer.node in names
        or peer.labels.get(NODE_LABEL) in names
        or (peer.node and peer.address.partition(":")[0] in addresses)
    ]
    kube.delete(f"bgppeers.{GROUP}", found)


def made_peers(kube: Kube, name: str) -> list[str]:
    """Return the BGPPeers that a join of ``name`` made."""
    return [peer.name for peer in peers(InApi(kube)) if peer.labels.get(NODE_LABEL) == name]


def release_addresses(kube: Kube, names: Sequence[str]) -> dict[str, str]:
    """Delete the blocks whose addresses were all the gone nodes' own; return what stays, by node.

    calico-kube-controllers does the same when it runs; whoever comes second finds nothing. A block that somebody else
    has taken meanwhile is another one by its uid or its version, and is left alone.
    """
    affinities = [told for told in kube.get(f"blockaffinities.{GROUP}") if told["spec"].get("node") in names]
    if not affinities:
        return {}
    blocks = {told["spec"]["cidr"]: told for told in kube.get(f"ipamblocks.{GROUP}")}
    kept: dict[str, str] = {}
    for affinity in affinities:
        node, cidr = affinity["spec"]["node"], affinity["spec"]["cidr"]
        block = blocks.get(cidr)
        if block is not None and block["spec"].get("affinity") == f"host:{node}":
            others = sorted(_users(block) - {node})
            if others:
                kept[node] = f"Calico's block {cidr} stays, since {', '.join(others)} has addresses out of it"
                continue
            if not _deleted(kube, "ipamblocks", block):
                kept[node] = f"Calico's block {cidr} changed meanwhile and stays: calicoctl ipam check"
                continue
            _delete_handles(kube, block)
        _deleted(kube, "blockaffinities", affinity)
    return kept


def _attributes(block: JsonObject) -> list[dict[str, Any]]:
    """Return the attributes that an allocation of ``block`` refers to."""
    spec = block["spec"]
    used = {index for index in spec.get("allocations") or () if index is not None}
    return [each for at, each in enumerate(spec.get("attributes") or ()) if at in used]


def _users(block: JsonObject) -> set[str]:
    """Return the nodes that have an address out of ``block``; an allocation that names none is nobody's."""
    return {(each.get("secondary") or {}).get("node", "") for each in _attributes(block)} - {""}


def _delete_handles(kube: Kube, block: JsonObject) -> None:
    handles = {str(each.get("handle_id") or "").lower() for each in _attributes(block)} - {""}
    cidr = block["spec"]["cidr"]
    for handle in kube.get(f"ipamhandles.{GROUP}", sorted(handles)) if handles else []:
        # A handle may have addresses out of other blocks too.
        if set((handle["spec"].get("block") or {}).keys()) <= {cidr}:
            _deleted(kube, "ipamhandles", handle)


def _deleted(kube: Kube, kind: str, told: JsonObject) -> bool:
    """Delete exactly the object that was seen; tell whether it is gone."""
    meta = told["metadata"]
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
    }
    path = f"/apis/{GROUP}/v1/{kind}/{meta['name']}"
    try:
        kube.call(["delete", "--raw", path, "-f", "-"], stdin=json.dumps(options))
    except KubeError as e:
        if "NotFound" in e.message or "not found" in e.message:
            return True
        if "Conflict" in e.message or "precondition" in e.message.lower():
            return False
        raise
    return True
