"""A packet as big as the interface of a pod elsewhere lets through reaches the pod on this node."""

from scaler.checks.join import OTHER_NODE, JoinCheck
from scaler.checks.packets import full_sized

CHECK = JoinCheck(
    "full-mtu-back",
    "peer",
    lambda t: full_sized(t.own.pod_ip, f"the pod on {t.own.name} at {t.own.pod_ip}") if t.peers else OTHER_NODE,
    first=True,
)
