"""A pod on an old node reaches one on the new node, with full-sized packets."""

from scaler.checks.join import JoinCheck, fetch

CHECK = JoinCheck(
    "reached-from-old-node", "peer", lambda t: fetch(t.pod_ip, f"the pod on {t.node} at {t.pod_ip}") if t.peer else None
)
