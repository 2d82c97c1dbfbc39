"""A StatefulSet of two pods, which come one after the other and keep their names."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import PORT
from scaler.checks.parts import Part, Place, container, labelled, meta, service, serving, spec


def _objects(place: Place) -> list[dict[str, Any]]:
    name = f"ordered-{place.number}"
    probe = {"tcpSocket": {"port": PORT}, "initialDelaySeconds": 2, "periodSeconds": 1}
    template = {
        "metadata": {"labels": labelled(place, "ordered")},
        "spec": spec(place, [container(place, "ordered", serving(), readinessProbe=probe)]),
    }
    told = {
        "serviceName": name,
        "replicas": 2,
        "podManagementPolicy": "OrderedReady",
        "selector": {"matchLabels": labelled(place, "ordered")},
        "template": template,
    }
    return [
        service(place, "ordered", name, clusterIP="None"),
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta(place, "ordered"), "spec": told},
    ]


PART = Part("ordered", _objects)
