"""The host can forward Services as the nodes that live do: in the same mode, and with what that mode needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.needs import lacking, missing
from scaler.checks.preflight import Check, Subject, Told
from scaler.model import proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    settings, living = subject.cluster.settings, subject.living
    mode = settings.kube_proxy_mode or living.mode or proxy.DEFAULT_MODE
    if living.why:
        remedy = "see that it is theirs" if settings.kube_proxy_mode else "set kube_proxy_mode in the inventory"
        yield Told(
            f"kube-proxy's mode of the nodes that live is not known ({living.why}): it gets {mode}",
            remedy,
            warning=True,
        )
    if living.mode and living.mode != mode:
        yield Told(
            f"kube_proxy_mode is {mode} in the inventory, and {living.mode} on {living.host}",
            "correct the inventory, or leave kube_proxy_mode out: a new node follows the ones that live",
        )
    scheduler = settings.kube_proxy_ipvs_scheduler or living.scheduler
    if mode == "ipvs" and living.scheduler and scheduler != living.scheduler:
        yield Told(
            f"kube_proxy_ipvs_scheduler is {scheduler} in the inventory, and {living.scheduler} on {living.host}",
            "correct the inventory, or leave it out",
        )
    if mode == "none" and not subject.network.replaces_proxy and not living.in_pods:
        yield Told(
            f"it gets no kube-proxy, and {subject.network.way} does not stand in for it",
            "see who forwards Services there",
            warning=True,
        )
    if mode not in {"none", living.mode} and subject.network.replaces_proxy:
        yield Told(
            f"kube_proxy_mode is {mode}, and {subject.network.way} stands in for kube-proxy",
            "set kube_proxy_mode: none",
        )
    version = settings.kubernetes_version
    if why := proxy.refusal(mode, version):
        yield Told(why, "choose another mode")
    if why := proxy.warning(mode, version):
        yield Told(why, warning=True)
    yield from lacking(subject, proxy.needs(mode, scheduler))
    if proxy.wants_conntrack(mode, version):
        why = "which kube-proxy before 1.32 needs to forget connections to UDP endpoints that are gone"
        yield from missing(subject, "conntrack", why, warning=True)


CHECK = Check("proxy", _look, of_nodes=True)
