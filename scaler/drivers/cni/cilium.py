"""Cilium: its own kernel demands by version, and whether it stands in for kube-proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scaler.drivers import cni_daemonset
from scaler.drivers.cni import Cni, Doors, Lacking, Plain
from scaler.model import versions
from scaler.model.network import Needs, Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.inventory import Host

NAMESPACES = ("kube-system", "cilium")
_CONFIG = "cilium-config"
_KIND = "ciliumnodes.cilium.io"
# The oldest kernel of each version, by Cilium's system requirements.
KERNELS = {"1.0": "4.9.17", "1.14": "4.19.57", "1.16": "5.4", "1.18": "5.10"}
# What taking kube-proxy's place needs besides (Cilium's guide to running without kube-proxy).
REPLACING_KERNEL = "4.19.57"
# Up to 1.13 the option had more words than two.
_REPLACES = ("true", "strict")


class Cilium(Plain):
    """Its agent makes a CiliumNode for each node; the one of a node that is gone is taken away with the Node."""

    node_kinds: tuple[str, ...] = (_KIND,)

    def read(self, doors: Doors) -> Network:
        """Return what cilium-config and the agent's image say."""
        found = cni_daemonset.find(doors.kube, "cilium", NAMESPACES, "cilium-agent")
        conf = cni_daemonset.config(doors.kube, _CONFIG, found.namespace)
        replaces = conf.get("kube-proxy-replacement", "").lower() in _REPLACES
        tunnel = _tunnel(conf)
        encrypts = conf.get("enable-wireguard", "false") == "true"
        what, kernel = f"Cilium {found.version}", kernel_for(found.version)
        if kernel and replaces:
            kernel = max(kernel, REPLACING_KERNEL, key=versions.parts)
        modules = {tunnel: f"{what}'s tunnels"} if tunnel else {}
        if encrypts:
            modules["wireguard"] = f"{what}'s encryption"
        proxy = "in place of kube-proxy" if replaces else "beside kube-proxy"
        cidrs = tuple(conf.get("cluster-pool-ipv4-cidr", "").split()) if _ipam(conf) == "cluster-pool" else ()
        tunnels: Literal["never", "across subnets", "always"] = "always" if tunnel else "never"
        direct = not tunnel and conf.get("auto-direct-node-routes", "false") == "true"
        return Network(
            way=f"cilium {found.version}, {tunnel or 'native routing'}, {proxy}, addresses by {_ipam(conf)}",
            needs=Needs(modules=modules, kernel=kernel, kernel_for=what),
            # Its mtu is that of the link: Cilium takes the tunnel's headers off itself.
            mtu=int(mtu) if (mtu := conf.get("mtu", "")).isdigit() else 0,
            cidrs=cidrs or ((doors.cluster.settings.pod_cidr,) if _ipam(conf) == "kubernetes" else ()),
            tunnels=tunnels,
            one_link=direct and conf.get("direct-routing-skip-unreachable", "false") != "true",
            replaces_proxy=replaces,
            told=() if kernel else ("Cilium's version is not in its image's tag: its kernel demand is not known",),
            works=True,
        )

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        """Look whether the agent is Ready on each node and has made its CiliumNode with the node's address."""
        found = cni_daemonset.find(doors.kube, "cilium", NAMESPACES, "cilium-agent")
        told = {each["metadata"]["name"]: each for each in doors.kube.get(_KIND, [host.name for host in hosts])}
        lacking = {}
        for host in hosts:
            why = cni_daemonset.not_running(doors.kube, found, host.name)
            addresses = [each.get("ip", "") for each in told.get(host.name, {}).get("spec", {}).get("addresses") or ()]
            if not why and host.address not in addresses:
                why = f"its CiliumNode has {', '.join(addresses) or 'no address'}, {host.address} is wanted"
            if why:
                lacking[host.name] = Lacking(f"cilium: {why}")
        return lacking


def kernel_for(version: str) -> str:
    """Return the oldest kernel that Cilium of ``version`` runs on, empty where the version is not known."""
    if not versions.parts(version):
        return ""
    fitting = [since for since in KERNELS if versions.parts(since) <= versions.parts(version)]
    return KERNELS[max(fitting, key=versions.parts)] if fitting else ""


def _tunnel(conf: Mapping[str, str]) -> str:
    """Return the encapsulation, empty where pods are routed: by 1.14's two options, or by the one before."""
    if "routing-mode" in conf:
        return conf.get("tunnel-protocol", "vxlan") if conf["routing-mode"] == "tunnel" else ""
    tunnel = conf.get("tunnel", "vxlan")
    return "" if tunnel == "disabled" else tunnel


def _ipam(conf: Mapping[str, str]) -> str:
    return conf.get("ipam", "cluster-pool")


DRIVER: Cni = Cilium()
