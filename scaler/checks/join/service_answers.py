"""A Service's ClusterIP answers from the new node."""

from scaler.checks.join import JoinCheck, fetch

CHECK = JoinCheck(
    "service-answers",
    "node",
    lambda t: fetch(t.service_ip, f"the Service at {t.service_ip}"),
    group="services",
    full=False,
)
