"""A Service leads from one pod to another on the same node, which takes bridged packets through the rules."""

from scaler.checks.join import JoinCheck, fetch

CHECK = JoinCheck(
    "service-on-same-node",
    "ready",
    lambda t: fetch(t.own.service_ip, f"the Service at {t.own.service_ip}, whose pod is on the same node,"),
    group="services",
)
