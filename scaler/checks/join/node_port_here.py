"""A NodePort on this node leads to pods on other nodes."""

from scaler.checks.join import JoinCheck, each_peer, fetch

CHECK = JoinCheck(
    "node-port-here",
    "peer",
    lambda t: each_peer(
        t,
        lambda peer: fetch(
            t.own.host_ip,
            f"NodePort {peer.node_port} of {t.own.name} at {t.own.host_ip}, behind which is the pod on {peer.name},",
            peer.node_port,
        ),
    ),
    group="services",
)
