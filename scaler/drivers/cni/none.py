"""The cluster brings its network itself, as a DaemonSet does; a node needs no files of ours."""

from scaler.drivers.cni import Cni

DRIVER = Cni(roles=(), needs_pod_cidr=False)
