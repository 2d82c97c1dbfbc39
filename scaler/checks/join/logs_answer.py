"""What a pod on the node printed can be read through the API."""

from __future__ import annotations

from scaler.checks.join import Look, Scene
from scaler.checks.parts import LOG_LINE


def _look(scene: Scene) -> str:
    told = scene.call("logs", f"main-{scene.target.number}")
    return "" if LOG_LINE in told else "the pod's log is empty"


CHECK = Look("logs-answer", "access", _look, full=False)
