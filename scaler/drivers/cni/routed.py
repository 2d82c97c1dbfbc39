"""The standard bridge plugin on each node, and a route for each other node's pods."""

from scaler.drivers.cni import Cni

DRIVER = Cni(roles=("routed",), needs_pod_cidr=True)
