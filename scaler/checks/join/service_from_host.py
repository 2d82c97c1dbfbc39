"""A Service's ClusterIP answers from the host's own network, as kubelets and host-network pods ask."""

from scaler.checks.join import JoinCheck, fetch

CHECK = JoinCheck(
    "service-from-host",
    "host",
    lambda t: fetch(t.service_ip, f"the Service at {t.service_ip}"),
    group="services",
)
