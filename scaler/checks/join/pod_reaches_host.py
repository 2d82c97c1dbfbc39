"""A pod on this node reaches other nodes' hosts."""

from scaler.checks.join import HOST_PORT, JoinCheck, each_peer, fetch

CHECK = JoinCheck(
    "pod-reaches-host",
    "node",
    lambda t: each_peer(t, lambda peer: fetch(peer.host_ip, f"host {peer.name} at {peer.host_ip}", HOST_PORT)),
    needs=("host",),
)
