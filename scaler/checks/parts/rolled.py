"""A Deployment of one pod, to be rolled to a second version."""

from __future__ import annotations

from typing import Any

from scaler.checks.parts import Part, Place, container, labelled, meta, spec, until_told


def _objects(place: Place) -> list[dict[str, Any]]:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    one = container(place, "rolled", until_told("true"), readinessProbe=probe, env=[{"name": "VERSION", "value": "1"}])
    told = {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": labelled(place, "rolled")},
        "template": {"metadata": {"labels": labelled(place, "rolled")}, "spec": spec(place, [one])},
    }
    return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(place, "rolled"), "spec": told}]


PART = Part("rolled", _objects)
