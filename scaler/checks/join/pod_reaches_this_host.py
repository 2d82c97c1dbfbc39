"""A pod on another node reaches this node's host."""

from scaler.checks.join import HOST_PORT, OTHER_NODE, JoinCheck, fetch

CHECK = JoinCheck(
    "pod-reaches-this-host",
    "peer",
    lambda t: fetch(t.own.host_ip, f"host {t.own.name} at {t.own.host_ip}", HOST_PORT) if t.peers else OTHER_NODE,
    needs=("host",),
)
