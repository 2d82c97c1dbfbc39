"""The programs that kubelet, kube-proxy and the runtime start by their names are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.model import systems
from scaler.model.versions import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = ("iptables", "conntrack", "ipset", "nft", "socat")
# kube-proxy talks to the kernel itself from then on.
_WITHOUT_CONNTRACK = "1.32"


def _look(subject: Subject) -> Iterator[Told]:
    if subject.facts.programs is None:
        return
    system = systems.of(subject.facts.os_id)
    mode = subject.host.variables.get("kube_proxy_mode", "iptables")
    wanted = {
        "iptables": (mode in {"iptables", "ipvs"}, "kube-proxy sets no Service up without it", False),
        "ipset": (mode == "ipvs", "kube-proxy does not do ipvs without it", False),
        "nft": (mode == "nftables", "kube-proxy does not do nftables without it", False),
        "conntrack": (
            not reached(subject.cluster.settings.kubernetes_version, _WITHOUT_CONNTRACK),
            "before 1.32 kube-proxy needs it to forget connections to UDP endpoints that are gone",
            True,
        ),
    }
    for program, (needed, why, warning) in wanted.items():
        if needed and program not in subject.facts.programs:
            yield Told(f"{program} is not installed: {why}", system.install_command(program), warning)


CHECK = Check("programs", _look, of_nodes=True)
