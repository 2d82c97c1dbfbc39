"""A pod on the host's own network and among its processes, to see the node from outside of its pods."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import HOST_PORT
from scaler.checks.parts import Part, Place, container, pod, serving


def _objects(place: Place) -> list[dict[str, Any]]:
    host = container(
        place, "host", serving(HOST_PORT), readinessProbe={"tcpSocket": {"port": HOST_PORT}, "periodSeconds": 1}
    )
    return [pod(place, "host", [host], hostNetwork=True, hostPID=True)]


PART = Part("host", _objects)
