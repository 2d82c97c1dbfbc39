"""Whom a node of Calico's would talk BGP to, and which BGPPeers a node that joins lacks; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scaler.drivers.cni_calico_selector import labels_for, matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaler.drivers.cni_calico_objects import Calico, Member, Peer
    from scaler.gateways.kube import JsonObject
    from scaler.model.inventory import Host

NODE_LABEL = "scaler.dev/node"
# What Calico's own documentation gives the first reflectors.
FIRST_CLUSTER_ID = "244.0.0.1"


def labels_of(network: Calico, host: Host) -> dict[str, str]:
    """Return the labels that the node of ``host`` has, or will have as its kubelet gives them."""
    known = next((member.labels for member in network.members if member.name == host.name), {})
    usual = {"kubernetes.io/hostname": host.name, "kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux"}
    return {**usual, **network.labels.get(host.name, {}), **known}


def is_of(peer: Peer, name: str, labels: Mapping[str, str]) -> bool:
    """Tell whether ``peer`` is one of this node's: named, selected, or of all nodes."""
    if peer.node:
        return peer.node == name
    return matches(peer.node_selector, labels) if peer.node_selector else True


def peered(network: Calico, host: Host, *, own: bool = True) -> bool:
    """Tell whether some BGPPeer gives the node of ``host`` somebody to talk to, from either side.

    Without ``own`` those that name this very node do not count: an earlier run may have made some of them.
    """
    labels = labels_of(network, host)
    others = [member for member in network.members if member.name != host.name]
    for peer in (each for each in network.peers if own or each.node != host.name):
        if is_of(peer, host.name, labels) and (peer.address or any(matches(peer.selector, o.labels) for o in others)):
            return True
        if (
            peer.selector
            and matches(peer.selector, labels)
            and any(is_of(peer, other.name, other.labels) for other in others)
        ):
            return True
    return False


def reflectors(network: Calico) -> tuple[str, ...]:
    """Return the nodes that are reflectors."""
    return tuple(member.name for member in network.members if member.cluster_id)


def usual_peers(network: Calico) -> tuple[str, ...]:
    """Return the addresses that every node with BGPPeers of its own has one for; empty where there is no such habit."""
    own = reflectors(network)
    by_node: dict[str, set[str]] = {}
    for peer in network.peers:
        if peer.node and peer.address and peer.node not in own:
            by_node.setdefault(peer.node, set()).add(peer.address)
    common = set.intersection(*by_node.values()) if by_node else set()
    return tuple(sorted(common))


def missing_peers(network: Calico, host: Host) -> list[JsonObject]:
    """Return the BGPPeers that ``host`` lacks where each node has its own: to the usual peers, and back from them.

    A reflector that is a node of the cluster has to be told of the new one too; one that is not is its owner's.
    """
    there = {(peer.node, peer.address) for peer in network.peers}
    owner = {member.address.partition("/")[0]: member for member in network.members if member.address}
    found = []
    for address in usual_peers(network):
        number = next(p.as_number for p in network.peers if p.address == address and p.node)
        if (host.name, address) not in there:
            found.append(_peer(host.name, host.name, address, number))
        reflector = owner.get(address)
        if reflector and _knows_each(network, reflector) and (reflector.name, host.address) not in there:
            found.append(_peer(host.name, reflector.name, host.address, network.as_number))
    return found


def _knows_each(network: Calico, reflector: Member) -> bool:
    """Tell whether ``reflector`` has a BGPPeer for each of its clients."""
    return any(peer.node == reflector.name and peer.address for peer in network.peers)


def _peer(joining: str, node: str, address: str, number: int | str | None) -> JsonObject:
    name = f"scaler-{node}-{address.replace('.', '-').replace(':', '-')}"
    # A number may be written as two, with a dot.
    system = {} if number is None else {"asNumber": int(number) if str(number).isdigit() else number}
    return {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "BGPPeer",
        "metadata": {"name": name, "labels": {NODE_LABEL: joining}},
        "spec": {"node": node, "peerIP": address, **system},
    }


def reflector_labels(network: Calico) -> dict[str, str] | None:
    """Return the labels that make a node one of the reflectors that BGPPeers select, None where none says which."""
    for peer in network.peers:
        wanted = labels_for(peer.selector) if peer.selector else None
        if wanted:
            return wanted
    return None


def cluster_id(network: Calico) -> str:
    """Return the cluster ID that reflectors of this cluster have."""
    known = Counter(member.cluster_id for member in network.members if member.cluster_id)
    return known.most_common(1)[0][0] if known else FIRST_CLUSTER_ID
