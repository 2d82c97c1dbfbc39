"""The pod that most checks talk to: it has limits, volumes of every simple kind, and a server."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import PORT
from scaler.checks.parts import Part, Place, container, pod, service, serving

CPU_LIMIT_MILLIS, MEMORY_LIMIT_MEBIBYTES = 500, 64

_VOLUMES: list[dict[str, Any]] = [
    {"name": "scratch", "emptyDir": {}},
    {"name": "config", "configMap": {"name": "verify"}},
    {"name": "secret", "secret": {"secretName": "verify", "defaultMode": 0o400}},
    {
        "name": "projected",
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            ]
        },
    },
]


def _objects(place: Place) -> list[dict[str, Any]]:
    main = container(
        place,
        "main",
        serving(),
        ports=[{"containerPort": PORT}],
        readinessProbe={"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        # For ping, by which packets of a certain size are sent.
        securityContext={
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]},
        },
        resources={
            "requests": {"cpu": "50m", "memory": "16Mi"},
            "limits": {"cpu": f"{CPU_LIMIT_MILLIS}m", "memory": f"{MEMORY_LIMIT_MEBIBYTES}Mi"},
        },
        volumeMounts=[
            {"name": "scratch", "mountPath": "/verify/scratch"},
            {"name": "config", "mountPath": "/verify/config"},
            {"name": "secret", "mountPath": "/verify/secret"},
            {"name": "projected", "mountPath": "/verify/projected"},
        ],
    )
    own = service(place, "main", f"on-{place.number}", type="NodePort")
    return [own, pod(place, "main", [main], volumes=_VOLUMES, subdomain="headless")]


PART = Part("main", _objects)
