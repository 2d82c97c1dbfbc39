"""What the API tells of the cluster, through its endpoint or, where that does not answer, from a master directly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from scaler.app.asking import at_once
from scaler.drivers import cni
from scaler.drivers.cni import Doors
from scaler.errors import ScalerError, UnreachableError
from scaler.model.state import Node
from scaler.model.status import DnsSeen, LeaseSeen, MasterSeen, NodeSeen, WorkloadSeen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.app.session import Session
    from scaler.gateways.kube import Kube
    from scaler.model.inventory import Host

_READY_SECONDS, _READ_SECONDS = 3, 5
_KINDS = "deployments.apps,daemonsets.apps,services,endpoints,leases.coordination.k8s.io"
_ROLE = "node-role.kubernetes.io/"
LEASE = "scaler"


@dataclass
class ApiLook:
    """What was told so far; filled while it is asked, so that what came in time counts."""

    why: str = "no answer yet"
    told_by: str = ""
    masters: dict[str, MasterSeen] = field(default_factory=dict)
    version: str = ""
    nodes: tuple[NodeSeen, ...] | ScalerError | None = None
    system: list[dict[str, Any]] | ScalerError | None = None
    network: str | ScalerError | None = None


def look(session: Session, seen: ApiLook) -> None:
    """Ask every API server and the endpoint whether they are ready, then the first that is for all else."""
    cluster, kube = session.cluster, session.kube
    ways: dict[str, Kube] = {"": kube}
    ways |= {m.name: kube.at(cluster.settings.endpoint_for(m, master=True)) for m in cluster.masters}
    asked = {name: partial(_version, way) for name, way in ways.items()}
    told = at_once(session.clock, asked, seconds=_READY_SECONDS + 1)
    seen.masters = {m.name: master_seen(m, told[m.name]) for m in cluster.masters}
    ready = [name for name, version in told.items() if isinstance(version, str)]
    endpoint = told[""]
    seen.why = endpoint.message if isinstance(endpoint, ScalerError) else ""
    if not ready:
        seen.nodes = seen.system = UnreachableError("no API server is ready")
        return
    seen.told_by, seen.version = ready[0], str(told[ready[0]])
    doors = Doors(cluster, ways[ready[0]], session.ssh, session.etcd)
    reads: dict[str, Any] = {
        "nodes": partial(_read, ways[ready[0]], ["nodes"]),
        "system": partial(_read, ways[ready[0]], _system()),
        "network": lambda: cni.of(cluster.settings.cni).read(doors).way,
    }
    read = at_once(session.clock, reads, seconds=_READ_SECONDS + 0.5)
    seen.system, seen.network = read["system"], read["network"]
    nodes = read["nodes"]
    seen.nodes = nodes if isinstance(nodes, ScalerError) else tuple(_node(each) for each in nodes)


def _system() -> list[str]:
    return [_KINDS, "-n", "kube-system"]


def _version(kube: Kube) -> str:
    """Return the version of a server that says it is ready."""
    limit = f"--request-timeout={_READY_SECONDS}s"
    try:
        kube.call(["get", "--raw", "/readyz", limit], timeout=_READY_SECONDS + 1)
    except ScalerError as e:
        raise UnreachableError(_failing(e.message)) from e
    told = json.loads(kube.call(["get", "--raw", "/version", limit], timeout=_READY_SECONDS + 1))
    return str(told["gitVersion"]).removeprefix("v")


def _failing(message: str) -> str:
    """Return which checks of /readyz fail, where it told them; kubectl puts all of them into one long sentence."""
    lines = [part.strip() for part in message.replace("\\n", "\n").splitlines()]
    failed = [line.partition("]")[2].split(" ")[0] for line in lines if "[-]" in line]
    return (
        f"/readyz: {', '.join(failed)} failed" if failed else message.removeprefix("the API server does not answer: ")
    )


def _read(kube: Kube, words: Sequence[str]) -> list[dict[str, Any]]:
    argv = ["get", *words, "-o", "json", f"--request-timeout={_READ_SECONDS}s"]
    told = json.loads(kube.call(argv, timeout=_READ_SECONDS + 1))
    return list(told["items"])


def master_seen(host: Host, told: str | ScalerError) -> MasterSeen:
    """Return a master by the version it told, or by why it did not."""
    if isinstance(told, ScalerError):
        return MasterSeen(name=host.name, address=host.address, ready=False, why=told.message)
    return MasterSeen(name=host.name, address=host.address, ready=True, version=told)


def _node(told: dict[str, Any]) -> NodeSeen:
    node = Node.model_validate(told)
    roles = sorted(label.removeprefix(_ROLE) for label in node.metadata.labels if label.startswith(_ROLE))
    return NodeSeen(
        name=node.name,
        address=node.internal_ip,
        roles=tuple(roles),
        ready=node.ready,
        why="" if node.ready else node.why_not_ready,
        cordoned=node.spec.unschedulable,
        version=node.status.info.kubelet_version.removeprefix("v"),
        runtime=node.status.info.runtime_version,
        pod_cidr=node.spec.pod_cidr or "",
        created=node.metadata.created,
    )


def workloads(system: Sequence[dict[str, Any]]) -> tuple[WorkloadSeen, ...]:
    """Return the Deployments and DaemonSets."""
    found = []
    for each in system:
        status, name = each.get("status", {}), each["metadata"]["name"]
        if each["kind"] == "Deployment":
            wanted = int(each["spec"].get("replicas", 1))
            found.append(
                WorkloadSeen(kind="Deployment", name=name, ready=int(status.get("readyReplicas", 0)), wanted=wanted)
            )
        elif each["kind"] == "DaemonSet":
            wanted = int(status.get("desiredNumberScheduled", 0))
            found.append(
                WorkloadSeen(kind="DaemonSet", name=name, ready=int(status.get("numberReady", 0)), wanted=wanted)
            )
    return tuple(found)


def dns(system: Sequence[dict[str, Any]], address: str) -> DnsSeen:
    """Return the Service at ``address`` and how many addresses are ready behind it."""
    service = next(
        (s["metadata"]["name"] for s in system if s["kind"] == "Service" and s["spec"].get("clusterIP") == address), ""
    )
    behind = {
        each["ip"]
        for told in system
        if told["kind"] == "Endpoints" and told["metadata"]["name"] == service
        for subset in told.get("subsets") or ()
        for each in subset.get("addresses") or ()
    }
    return DnsSeen(service=service, endpoints=len(behind))


def lease(system: Sequence[dict[str, Any]]) -> LeaseSeen | None:
    """Return the Lease that runs hold, None where there is none."""
    spec = next(
        (x.get("spec", {}) for x in system if x["kind"] == "Lease" and x["metadata"]["name"] == LEASE),
        None,
    )
    if spec is None:
        return None
    return LeaseSeen(
        holder=spec.get("holderIdentity") or "",
        acquired=spec.get("acquireTime"),
        renewed=spec.get("renewTime"),
        seconds=spec.get("leaseDurationSeconds") or 0,
    )
