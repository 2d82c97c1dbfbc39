"""The host reaches other nodes' pods and hosts, and pods of this node reach other hosts."""

from scaler.checks.join import HOST_PORT, JoinCheck, each_peer, fetch

CHECK = JoinCheck(
    "host-reaches",
    "host",
    lambda t: each_peer(
        t,
        lambda peer: (
            f"({fetch(peer.pod_ip, f'the pod on {peer.name} at {peer.pod_ip}')}) && "
            f"({fetch(peer.host_ip, f'host {peer.name} at {peer.host_ip}', HOST_PORT)})"
        ),
    ),
    needs=("host",),
)
