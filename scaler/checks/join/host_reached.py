"""Other nodes' hosts reach this node's pods and its host."""

from scaler.checks.join import HOST_PORT, OTHER_NODE, JoinCheck, fetch

CHECK = JoinCheck(
    "host-reached",
    "peer-host",
    lambda t: (
        f"({fetch(t.own.pod_ip, f'the pod on {t.own.name} at {t.own.pod_ip}')}) && "
        f"({fetch(t.own.host_ip, f'host {t.own.name} at {t.own.host_ip}', HOST_PORT)})"
        if t.peers
        else OTHER_NODE
    ),
    needs=("host",),
)
