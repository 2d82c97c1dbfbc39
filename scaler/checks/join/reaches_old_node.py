"""A pod on the new node reaches one on an old node, with full-sized packets."""

from scaler.checks.join import JoinCheck, fetch

CHECK = JoinCheck(
    "reaches-old-node", "node", lambda t: fetch(t.peer_ip, f"the pod on {t.peer} at {t.peer_ip}") if t.peer else None
)
