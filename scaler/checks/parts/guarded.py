"""A pod that a NetworkPolicy lets one other pod reach, and nobody else."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import PORT
from scaler.checks.parts import Part, Place, container, labelled, meta, pod, serving


def _objects(place: Place) -> list[dict[str, Any]]:
    policy = {
        "podSelector": {"matchLabels": labelled(place, "guarded")},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": labelled(place, "main")}}],
                "ports": [{"port": PORT, "protocol": "TCP"}],
            }
        ],
    }
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta(place, "guarded"),
            "spec": policy,
        },
        # No probe: some policy engines let the kubelet of the node in, others want it to be said.
        pod(place, "guarded", [container(place, "guarded", serving())]),
    ]


PART = Part("guarded", _objects)
