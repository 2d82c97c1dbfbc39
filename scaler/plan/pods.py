"""The pods of a node that leaves, told apart by what becomes of them and by what they lose."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from scaler.model.base import Value
from scaler.model.names import NodeName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from scaler.model.pods import PersistentVolume, Pod
    from scaler.plan.plan import Drain

FORCE, EMPTYDIR, DAEMONSETS = "--force", "--delete-emptydir-data", "--ignore-daemonsets"


class Fate(StrEnum):
    """What becomes of a pod whose node leaves."""

    moves = "started anew on another node"
    ordered = "moved in reverse order, each waited for on its new node"
    bare = "gone for good: no controller starts it anew"
    daemon = "a DaemonSet's: left until the node ends"
    mirror = "a static pod: ends with its kubelet"
    finished = "has ended already"


class Leaving(Value):
    """One pod of a node that leaves; ``loses`` names its volumes whose data is gone with the node."""

    node: NodeName
    namespace: str
    name: str
    uid: str
    fate: Fate
    owner: str = ""
    loses: tuple[str, ...] = ()
    on_host: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    @property
    def stays(self) -> bool:
        """Tell whether a drain leaves it where it is."""
        return self.fate in {Fate.daemon, Fate.mirror, Fate.finished}

    @property
    def ordinal(self) -> int:
        """Return a StatefulSet's pod's number."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isdecimal() else -1


def leaving(pods: Iterable[Pod], tied: Collection[tuple[str, str]]) -> tuple[Leaving, ...]:
    """Tell what becomes of ``pods``; ``tied`` are the claims, by namespace and name, whose volume is on the node."""
    return tuple(sorted((_leaving(pod, tied) for pod in pods), key=lambda each: (each.node, each.key)))


def _leaving(pod: Pod, tied: Collection[tuple[str, str]]) -> Leaving:
    loses = [f"emptyDir {volume.name}" for volume in pod.spec.volumes if volume.empty_dir is not None]
    claims = [volume.claim.name for volume in pod.spec.volumes if volume.claim]
    loses += [f"local volume of claim {name}" for name in claims if (pod.metadata.namespace, name) in tied]
    owner = pod.owner
    return Leaving(
        node=pod.spec.node,
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        fate=_fate(pod),
        owner=f"{owner.kind}/{owner.name}" if owner else "",
        loses=tuple(loses),
        on_host=tuple(str(v.host_path.get("path", "")) for v in pod.spec.volumes if v.host_path is not None),
    )


def _fate(pod: Pod) -> Fate:
    if pod.mirror:
        return Fate.mirror
    if pod.finished:
        return Fate.finished
    if pod.owner is None:
        return Fate.bare
    return {"DaemonSet": Fate.daemon, "StatefulSet": Fate.ordered}.get(pod.owner.kind, Fate.moves)


def tied_claims(volumes: Iterable[PersistentVolume]) -> set[tuple[str, str]]:
    """Return the claims, by namespace and name, whose volume no other node can have."""
    return {(v.spec.claim.namespace, v.spec.claim.name) for v in volumes if v.tied and v.spec.claim}


def missing(pods: Iterable[Leaving], drain: Drain) -> dict[str, tuple[str, ...]]:
    """Return the options that ``pods`` need and ``drain`` has not, with the pods that need each."""
    needed: dict[str, list[str]] = {}
    for pod in pods:
        if pod.fate is Fate.bare and not drain.force:
            needed.setdefault(FORCE, []).append(pod.key)
        if pod.fate is Fate.daemon and not drain.ignore_daemonsets:
            needed.setdefault(DAEMONSETS, []).append(pod.key)
        if pod.loses and not pod.stays and not drain.delete_emptydir_data:
            needed.setdefault(EMPTYDIR, []).append(f"{pod.key} ({', '.join(pod.loses)})")
    return {option: tuple(names) for option, names in needed.items()}


WHY = {
    FORCE: "no controller starts these anew, they would be gone for good",
    DAEMONSETS: "these are a DaemonSet's and end with the node",
    EMPTYDIR: "these lose data that is on the node",
}


def refusal(pods: Iterable[Leaving], drain: Drain) -> str:
    """Say which pods ``drain`` may not move and which option lets it; empty where it may move all."""
    lines = missing(pods, drain)
    return "; ".join(f"{WHY[option]}: {', '.join(names)} ({option})" for option, names in lines.items())


def told(pods: Sequence[Leaving]) -> list[str]:
    """Return what becomes of the pods of each node, for a person, a line for each kind."""
    lines = []
    for node in dict.fromkeys(pod.node for pod in pods):
        here = [pod for pod in pods if pod.node == node]
        for fate in Fate:
            names = [_named(pod) for pod in here if pod.fate is fate]
            if names:
                lines.append(f"{node}: {fate.value}: {', '.join(names)}")
    return lines


def _named(pod: Leaving) -> str:
    own = [f"loses {each}" for each in pod.loses] + [f"what it wrote to {path} stays behind" for path in pod.on_host]
    # Logs and sockets of the host are all that these ever have there.
    return f"{pod.key} ({', '.join(own)})" if own and not pod.stays else pod.key


def in_order(pods: Iterable[Leaving]) -> dict[str, list[Leaving]]:
    """Return each StatefulSet's pods, the highest number first."""
    sets: dict[str, list[Leaving]] = {}
    for pod in sorted(pods, key=lambda each: -each.ordinal):
        if pod.fate is Fate.ordered:
            sets.setdefault(f"{pod.namespace}/{pod.owner}", []).append(pod)
    return sets
