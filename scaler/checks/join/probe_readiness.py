"""A pod whose readiness probe fails leaves its Service's endpoints, and comes back: by exec, tcpSocket, httpGet."""

from __future__ import annotations

from scaler.checks.join import Look, Scene
from scaler.checks.parts import service_of
from scaler.checks.parts.probed import KINDS

SECONDS = 20.0


def _look(scene: Scene) -> str:
    if why := scene.ready("ready"):
        return why
    name = f"ready-{scene.target.number}"

    def listed() -> bool:
        slices = [each for each in scene.objects("EndpointSlice") if service_of(each) == name]
        points = [point for each in slices for point in each["endpoints"] or ()]
        return any(point.get("conditions", {}).get("ready") is not False for point in points)

    if not scene.until(listed, SECONDS):
        return "a Ready pod is not among its Service's endpoints"
    for kind in KINDS:
        scene.run("ready", "touch /tmp/off", kind)
        if not scene.until(lambda: not listed(), SECONDS):
            return f"{kind}: a pod whose probe fails stays among its Service's endpoints"
        scene.run("ready", "rm /tmp/off", kind)
        if not scene.until(listed, SECONDS):
            return f"{kind}: a pod whose probe succeeds again does not come back to its Service's endpoints"
    return ""


CHECK = Look("probe-readiness", "probes", _look, needs=("main", "ready"))
