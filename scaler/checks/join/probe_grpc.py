"""A container that answers gRPC health checks is found alive by them."""

from __future__ import annotations

from scaler.checks.join import Absent, Look, Scene
from scaler.model import versions

SINCE = (1, 24)


def _look(scene: Scene) -> str | Absent:
    version = scene.target.facts.version
    if versions.minor(version) < SINCE:
        return Absent(f"Kubernetes {version} has no gRPC probes (since 1.24)")
    return Absent("the image has no program that answers gRPC health checks")


CHECK = Look("probe-grpc", "probes", _look)
