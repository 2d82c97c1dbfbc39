"""A pod with a Service, whose containers are made unready from outside, each with another kind of probe."""

from __future__ import annotations

from typing import Any

from scaler.checks.parts import Part, Place, container, pod, service
from scaler.checks.parts.probed import KINDS, begin, end, handler

_PORTS = {"exec": 0, "tcp": 9005, "http": 9006}


def _container(place: Place, kind: str) -> dict[str, Any]:
    port = _PORTS[kind]
    # The file off decides, so that whoever can run a command in the container can switch it.
    script = (
        f"trap 'exit 0' TERM; while :; do {begin(kind, port)}; while [ ! -e /tmp/off ]; do sleep 0.3; done; "
        f'{end(kind)}; while [ -e /tmp/off ]; do sleep 0.3; done; [ "$p" ] && kill $p; wait; done'
    )
    probe = {**handler(kind, port), "periodSeconds": 1, "failureThreshold": 1}
    return container(place, kind, script, readinessProbe=probe)


def _objects(place: Place) -> list[dict[str, Any]]:
    return [
        service(place, "ready", f"ready-{place.number}"),
        pod(place, "ready", [_container(place, kind) for kind in KINDS]),
    ]


PART = Part("ready", _objects)
