"""An API that has a network's objects and nothing else, and hosts that answer commands by a table."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, cast

from scaler.drivers.cni import Doors
from scaler.gateways.kube import KubeError
from scaler.gateways.ssh import Said
from tests.fakes.etcd import FakeEtcd
from tests.unit.examples import M1, cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scaler.model.inventory import Host

JsonObject = dict[str, Any]
_KINDS = {
    "DaemonSet": "daemonsets.apps",
    "ConfigMap": "configmaps",
    "Node": "nodes",
    "CiliumNode": "ciliumnodes.cilium.io",
}
_CALICO = ".crd.projectcalico.org"


class ObjectsApi:
    """Objects by their kinds; of a kind that nobody installed it says what the real one says."""

    def __init__(self, objects: Iterable[JsonObject], *, kinds: bool = True) -> None:
        self.objects = [copy.deepcopy(each) for each in objects]
        self.pods: list[JsonObject] = []
        self.called: list[list[str]] = []
        self._kinds = kinds

    def get(self, kind: str, names: Iterable[str] = (), *, namespace: str = "") -> list[JsonObject]:
        wanted = list(names)
        if kind.endswith(_CALICO) and not self._kinds:
            raise KubeError(f'error: the server doesn\'t have a resource type "{kind}"')
        return [
            each
            for each in self.objects
            if self._plural(each) == kind
            and (not wanted or each["metadata"]["name"] in wanted)
            and (not namespace or each["metadata"].get("namespace") == namespace)
        ]

    def call(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 30) -> str:
        del stdin, timeout
        self.called.append(list(argv))
        if argv[:2] == ["get", "pods"]:
            on = next(word for word in argv if word.startswith("--field-selector")).rpartition("=")[2]
            return json.dumps({"items": [pod for pod in self.pods if pod["spec"]["nodeName"] == on]})
        return ""

    @staticmethod
    def _plural(told: JsonObject) -> str:
        word = str(told["kind"]).lower()
        plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
        return _KINDS.get(told["kind"], plural + _CALICO)

    def run_pod(self, daemonset: str, node: str, *, ready: bool = True) -> None:
        condition = {"type": "Ready", "status": str(ready)}
        self.pods.append(
            {
                "metadata": {
                    "name": f"{daemonset}-{node}",
                    "ownerReferences": [{"kind": "DaemonSet", "name": daemonset}],
                },
                "spec": {"nodeName": node},
                "status": {"phase": "Running", "conditions": [condition]},
            }
        )


class TableSsh:
    """Hosts that answer by what ``answer`` says."""

    def __init__(self, answer: Callable[[Host, Sequence[str]], Said] = lambda _host, _argv: Said(0, "", "")) -> None:
        self._answer = answer

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del stdin, timeout
        return self._answer(host, argv)


def doors(api: ObjectsApi, *, etcd: FakeEtcd | None = None, ssh: TableSsh | None = None, **settings: Any) -> Doors:
    known = cluster(**settings) if settings else cluster()
    return Doors(known, cast("Any", api), cast("Any", ssh or TableSsh()), cast("Any", etcd or FakeEtcd.of(M1.name)))


def node(name: str, number: int, *, ready: bool = True, cidr: str = "", **more: Any) -> JsonObject:
    address = {"type": "InternalIP", "address": f"192.0.2.{number}"}
    return {
        "kind": "Node",
        "metadata": {"name": name, "annotations": more.get("annotations", {}), "labels": more.get("labels", {})},
        "spec": {"podCIDR": cidr} if cidr else {},
        "status": {"addresses": [address], "conditions": [{"type": "Ready", "status": str(ready)}]},
    }
