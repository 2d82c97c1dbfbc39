"""A pod with a volume that it claims of the cluster's default StorageClass."""

from __future__ import annotations

from typing import Any

from scaler.checks.parts import Part, Place, container, meta, pod, until_told


def _objects(place: Place) -> list[dict[str, Any]]:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    one = container(place, "claimed", until_told("true"), volumeMounts=[{"name": "claim", "mountPath": "/claim"}])
    volumes = [{"name": "claim", "persistentVolumeClaim": {"claimName": f"claimed-{place.number}"}}]
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta(place, "claimed"),
            "spec": claim,
        },
        pod(place, "claimed", [one], volumes=volumes),
    ]


PART = Part("claimed", _objects, there=lambda facts, _: bool(facts.storage_class))
