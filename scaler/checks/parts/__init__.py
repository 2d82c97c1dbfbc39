"""The objects that checks look at: a part is one or a few of them for each node, made where a chosen check needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from scaler.checks import found
from scaler.checks.join import BODY_BYTES, PORT, Facts

JsonObject = dict[str, Any]

APP = {"app": "scaler-verify"}
LOG_LINE = "scaler-verify-runs"
# What the volumes of a pod hold, and a check finds there.
CONFIG, SECRET = "told-by-a-configmap", "told-by-a-secret"


class Place(NamedTuple):
    """Where a part is made: on which node, as which number of this proof, in which namespace, of which image."""

    namespace: str
    node: str
    number: int
    image: str


class Part(NamedTuple):
    """A part: its name, which its pod has with the node's number, its objects, and whether they can be there."""

    name: str
    objects: Callable[[Place], list[JsonObject]]
    there: Callable[[Facts, str], bool] = lambda _facts, _node: True


def parts() -> dict[str, Part]:
    """Return all parts by name."""
    return {part.name: part for part in found("parts", "PART")}


def meta(place: Place, part: str, *, name: str = "", **labels: str) -> JsonObject:
    """Return an object's metadata: its name has the node's number, since a node's name may be as long as a label."""
    return {
        "name": name or f"{part}-{place.number}",
        "namespace": place.namespace,
        "labels": {**labelled(place, part), **labels},
    }


def labelled(place: Place, part: str) -> dict[str, str]:
    """Return the labels of a part of a node."""
    return {**APP, "part": part, "number": str(place.number)}


def container(place: Place, name: str, script: str, **more: Any) -> JsonObject:  # noqa: ANN401 - any field
    """Return a container that runs a shell script, with few rights and little of everything."""
    limits = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}}
    return {
        "name": name,
        "image": place.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": limits,
        **more,
    }


def spec(place: Place, containers: Sequence[JsonObject], **more: Any) -> JsonObject:  # noqa: ANN401 - any field
    """Return a pod's spec that the scheduler can place on this node only, whatever the node is tainted with."""
    here = {"key": "metadata.name", "operator": "In", "values": [place.node]}
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [here]}]}}
    return {
        "affinity": {"nodeAffinity": wanted},
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": list(containers),
        **more,
    }


def pod(place: Place, part: str, containers: Sequence[JsonObject], **more: Any) -> JsonObject:  # noqa: ANN401 - any field
    """Return a pod of a part."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(place, part), "spec": spec(place, containers, **more)}


def service(place: Place, part: str, name: str, **more: Any) -> JsonObject:  # noqa: ANN401 - any field
    """Return a Service behind which this node's pod of a part is, and no other."""
    what = {"selector": labelled(place, part), "ports": [{"port": PORT, "targetPort": PORT}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(place, part, name=name), "spec": what}


def until_told(script: str, *, status: int = 0) -> str:
    """Return a script that does this and then waits; as process 1 a shell has to catch the signal to end by itself."""
    return f"trap 'exit {status}' TERM; {script}; while :; do sleep 3600 & wait $!; done"


def serving(port: int = PORT, *, before: str = "") -> str:
    """Return a script that answers HTTP with a body of full-sized packets and the pod's name until told to end."""
    return (
        f"mkdir -p /tmp/www && head -c {BODY_BYTES} /dev/zero > /tmp/www/body && hostname > /tmp/www/name; {before}"
        f"echo {LOG_LINE}; trap 'exit 0' TERM; httpd -f -p {port} -h /tmp/www & wait $!"
    )


def service_of(endpoint_slice: JsonObject) -> str:
    """Return the Service that a slice of endpoints is of."""
    return str(endpoint_slice["metadata"]["labels"].get("kubernetes.io/service-name", ""))
