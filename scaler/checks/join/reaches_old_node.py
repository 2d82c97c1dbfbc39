"""A pod on the new node reaches one on an old node, with full-sized packets."""

from scaler.checks.join import JoinCheck, each_peer, fetch

CHECK = JoinCheck(
    "reaches-old-node",
    "node",
    lambda t: each_peer(t, lambda peer: fetch(peer.pod_ip, f"the pod on {peer.name} at {peer.pod_ip}")),
    full=False,
)
