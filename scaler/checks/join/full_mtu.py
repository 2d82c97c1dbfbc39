"""A packet as big as a pod's interface lets through reaches the pods on other nodes, the very first one."""

from scaler.checks.join import JoinCheck, each_peer
from scaler.checks.packets import full_sized

CHECK = JoinCheck(
    "full-mtu",
    "node",
    lambda t: each_peer(t, lambda peer: full_sized(peer.pod_ip, f"the pod on {peer.name} at {peer.pod_ip}")),
    first=True,
)
