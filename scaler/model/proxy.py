"""The ways in which kube-proxy forwards Services: what each needs, and which version has it."""

from __future__ import annotations

from typing import Literal

from scaler.model import version_facts, versions
from scaler.model.base import Value
from scaler.model.network import Needs

Mode = Literal["iptables", "ipvs", "nftables", "none"]
DEFAULT_MODE: Mode = "iptables"
# kube-proxy's own, where its configuration names none.
DEFAULT_SCHEDULER = "rr"
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh", "fo", "ovf")

# kube-proxy talks to the kernel itself from then on.
_WITHOUT_CONNTRACK = "1.32"


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
            kernel = next(row.below for row in version_facts.facts().kernels if row.mode == mode)
            return found.model_copy(update={"kernel": kernel, "kernel_for": "kube-proxy's mode nftables"})
        case "none":
            return Needs()
        case _:
            return _needs(DEFAULT_MODE, ("nf_conntrack",), ("iptables",))


def _needs(mode: str, modules: tuple[str, ...], programs: tuple[str, ...]) -> Needs:
    what = f"kube-proxy's mode {mode}"
    return Needs(modules=dict.fromkeys(modules, what), programs=dict.fromkeys(programs, what))


def refusal(mode: str, version: str) -> str:
    """Say why kube-proxy of ``version`` has no such mode, empty where it has."""
    row = _row(mode)
    if row and not versions.there(version, row):
        return f"kube-proxy {version} has no mode {mode}, which came with {row.since}"
    return ""


def warning(mode: str, version: str) -> str:
    """Say what is not settled about ``mode`` in ``version``, empty where all is."""
    row = _row(mode)
    if mode == "nftables" and versions.needs_gate(version, "NFTablesProxyMode"):
        return f"kube-proxy's mode nftables is alpha in {version}: its feature gate is switched on"
    if row and versions.reached(version, row.deprecated):
        return f"kube-proxy's mode {mode} is deprecated since {row.deprecated}: nftables is what follows it"
    return ""


def wants_conntrack(mode: str, version: str) -> bool:
    """Tell whether kube-proxy starts the program conntrack, without which old connections go on to what is gone."""
    return mode != "none" and not versions.reached(version, _WITHOUT_CONNTRACK)


def _row(mode: str) -> version_facts.Row | None:
    return version_facts.facts().values["kube-proxy"]["proxy-mode"].get(mode)
