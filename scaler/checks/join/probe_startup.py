"""A startup probe holds the liveness probe back until it succeeds, and has the container killed where it never does."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import Look, Scene
from scaler.checks.parts.probed import KINDS, told_to_end

SECONDS = 50.0


def _look(scene: Scene) -> str:
    def of(name: str) -> dict[str, Any]:
        statuses = (scene.pod("probed") or {}).get("status", {}).get("containerStatuses", ())
        return next((dict(each) for each in statuses if each["name"] == name), {})

    late = [f"start-{kind}" for kind in KINDS]

    def over() -> bool:
        decided = all(of(name).get("started") or of(name).get("restartCount") for name in late)
        return decided and "start-never" in told_to_end(scene.pod("probed"))

    scene.until(over, SECONDS)
    killed = [name for name in late if of(name).get("restartCount")]
    if killed:
        return f"killed before its startup probe had succeeded: {', '.join(killed)}"
    waiting = [name for name in late if not of(name).get("started")]
    if waiting:
        return f"a startup probe that should succeed did not within {SECONDS:g} s: {', '.join(waiting)}"
    if "start-never" not in told_to_end(scene.pod("probed")):
        return "a container whose startup probe never succeeds was not killed for it"
    return ""


CHECK = Look("probe-startup", "probes", _look, needs=("main", "probed"))
