"""A headless Service lists this node's pod by its own address."""

from __future__ import annotations

from scaler.checks.join import PATIENCE_SECONDS, Look, Scene
from scaler.checks.parts import service_of


def _look(scene: Scene) -> str:
    address = scene.target.own.pod_ip

    def listed() -> bool:
        slices = [each for each in scene.objects("EndpointSlice") if service_of(each) == "headless"]
        return any(address in point["addresses"] for each in slices for point in each["endpoints"] or ())

    if scene.until(listed, PATIENCE_SECONDS):
        return ""
    return f"the headless Service does not list {address}, the pod on {scene.target.own.name}"


CHECK = Look("headless", "services", _look)
