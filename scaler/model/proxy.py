"""The ways in which kube-proxy forwards Services: what each needs, and which version has it."""

from __future__ import annotations

from typing import Literal

from scaler.model import versions
from scaler.model.base import Value
from scaler.model.network import Needs

Mode = Literal["iptables", "ipvs", "nftables", "none"]
DEFAULT_MODE: Mode = "iptables"
# kube-proxy's own, where its configuration names none.
DEFAULT_SCHEDULER = "rr"
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh", "fo", "ovf")

_NFTABLES_SINCE = (1, 29)
_IPVS_DEPRECATED = (1, 35)
_NFTABLES_KERNEL = "5.13"


class Living(Value):
    """How the nodes that live forward Services; ``host`` is who told it, and where nobody did ``why``.

    With ``in_pods`` a DaemonSet brings kube-proxy to new nodes, which then get none of scaler's.
    """

    mode: str = ""
    scheduler: str = ""
    host: str = ""
    in_pods: bool = False
    why: str = ""


def needs(mode: str, scheduler: str = "") -> Needs:
    """Return what ``mode`` needs of a host; an empty mode is the default one."""
    match mode or DEFAULT_MODE:
        case "ipvs":
            # From 1.26 on kube-proxy ends where one is missing; before it fell back to iptables and said so in its log.
            modules = ("ip_vs", f"ip_vs_{scheduler or DEFAULT_SCHEDULER}", "nf_conntrack", "ip_set")
            programs = ("iptables", "ipset")
            return _needs(mode, modules, programs)
        case "nftables":
            found = _needs(mode, ("nf_tables", "nf_conntrack"), ("nft",))
            return found.model_copy(update={"kernel": _NFTABLES_KERNEL, "kernel_for": "kube-proxy's mode nftables"})
        case "none":
            return Needs()
        case _:
            return _needs(DEFAULT_MODE, ("nf_conntrack",), ("iptables",))


def _needs(mode: str, modules: tuple[str, ...], programs: tuple[str, ...]) -> Needs:
    what = f"kube-proxy's mode {mode}"
    return Needs(modules=dict.fromkeys(modules, what), programs=dict.fromkeys(programs, what))


def refusal(mode: str, version: str) -> str:
    """Say why kube-proxy of ``version`` has no such mode, empty where it has."""
    if mode == "nftables" and versions.minor(version) < _NFTABLES_SINCE:
        return f"kube-proxy {version} has no mode nftables, which came with 1.29"
    return ""


def warning(mode: str, version: str) -> str:
    """Say what is not settled about ``mode`` in ``version``, empty where all is."""
    minor = versions.minor(version)
    if mode == "nftables" and versions.needs_gate(version, "NFTablesProxyMode"):
        return f"kube-proxy's mode nftables is alpha in {version}: its feature gate is switched on"
    if mode == "ipvs" and minor >= _IPVS_DEPRECATED:
        return "kube-proxy's mode ipvs is deprecated since 1.35: nftables is what follows it"
    return ""
