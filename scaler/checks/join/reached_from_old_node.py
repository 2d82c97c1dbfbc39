"""A pod on an old node reaches one on the new node, with full-sized packets."""

from scaler.checks.join import OTHER_NODE, JoinCheck, fetch

CHECK = JoinCheck(
    "reached-from-old-node",
    "peer",
    lambda t: fetch(t.own.pod_ip, f"the pod on {t.own.name} at {t.own.pod_ip}") if t.peers else OTHER_NODE,
    full=False,
)
