"""A NodePort on other nodes leads to the pod on this one."""

from scaler.checks.join import JoinCheck, each_peer, fetch

CHECK = JoinCheck(
    "node-port",
    "node",
    lambda t: each_peer(
        t,
        lambda peer: fetch(
            peer.host_ip,
            f"NodePort {t.own.node_port} of {peer.name} at {peer.host_ip}, behind which is the pod on {t.own.name},",
            t.own.node_port,
        ),
    ),
    group="services",
)
