"""Which versions may stand beside each other in one cluster: Kubernetes' skew policy, a sentence for each breach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.model.version_facts import facts
from scaler.model.versions import minor, newest_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ASKS_ONE = ("kube-controller-manager", "kube-scheduler")


def of_apiservers(versions: Sequence[str]) -> Iterator[str]:
    """Tell where API servers are more than one minor apart."""
    known = sorted({minor(version) for version in versions if minor(version)})
    if known and known[-1][1] - known[0][1] > 1:
        yield (
            f"API servers run {_told(known[0])} and {_told(known[-1])}: they may be one minor apart, "
            "and only while an upgrade goes on"
        )


def beside_apiservers(component: str, version: str, apiservers: Sequence[str]) -> Iterator[str]:
    """Tell where ``component`` of ``version`` may not talk to one of ``apiservers``, any of which may answer it."""
    own = minor(version)
    for server in _each_once(apiservers):
        if not own:
            continue
        behind = minor(server)[1] - own[1]
        allowed = 1 if component in _ASKS_ONE else (newest_row(facts().skew, server) or 0)
        if behind < 0:
            yield f"{component} {version} is newer than API server {server}: the API servers come first"
        elif behind > allowed:
            yield f"{component} {version} is {behind} minors older than API server {server}; {allowed} are allowed"


def beside_kubelet(proxy: str, kubelet: str) -> Iterator[str]:
    """Tell where a kube-proxy is too far from the kubelet of its own host."""
    if not minor(proxy) or not minor(kubelet):
        return
    newer = max((proxy, kubelet), key=minor)
    apart, allowed = abs(minor(proxy)[1] - minor(kubelet)[1]), newest_row(facts().skew, newer) or 0
    if apart > allowed:
        yield f"kube-proxy {proxy} and kubelet {kubelet} are {apart} minors apart; {allowed} are allowed"


def _each_once(versions: Iterable[str]) -> list[str]:
    by_minor = {minor(version): version for version in versions if minor(version)}
    return [by_minor[each] for each in sorted(by_minor)]


def _told(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)
