"""A pod is scheduled, gets its sandbox, an address and its volumes, starts, becomes Ready, and ends in time."""

from __future__ import annotations

import ipaddress

from scaler.checks.join import Look, Scene

# Told to end, its process ends at once; the rest is the kubelet's and the runtime's.
END_SECONDS = 30.0


def _look(scene: Scene) -> str:
    own = scene.target.own
    networks = scene.target.facts.pod_networks.get(own.name, ())
    if networks and not any(ipaddress.ip_address(own.pod_ip) in ipaddress.ip_network(each) for each in networks):
        return f"the pod's address {own.pod_ip} is not of {', '.join(networks)}, the node's pods' network"
    return scene.delete_pod("main", END_SECONDS)


# The last of all, since it ends the pod that the others ask.
CHECK = Look("pod-life", "pod", _look, last=True)
