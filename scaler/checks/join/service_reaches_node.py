"""A Service's ClusterIP leads from another node to the pod on this one."""

from scaler.checks.join import OTHER_NODE, JoinCheck, fetch

CHECK = JoinCheck(
    "service-reaches-node",
    "peer",
    lambda t: (
        fetch(t.own.service_ip, f"the Service of {t.own.name}'s pod at {t.own.service_ip}") if t.peers else OTHER_NODE
    ),
    group="services",
)
