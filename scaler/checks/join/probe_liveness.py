"""A container whose liveness probe fails is restarted: by exec, tcpSocket and httpGet."""

from __future__ import annotations

from scaler.checks.join import Look, Scene
from scaler.checks.parts.probed import KINDS

SECONDS = 50.0


def _look(scene: Scene) -> str:
    def killed() -> set[str]:
        told = scene.events(f"probed-{scene.target.number}")
        return {kind for kind in KINDS if any(f"live-{kind} failed liveness" in line for line in told)}

    def restarted() -> set[str]:
        statuses = (scene.pod("probed") or {}).get("status", {}).get("containerStatuses", ())
        return {kind for kind in KINDS for s in statuses if s["name"] == f"live-{kind}" and s["restartCount"] > 0}

    wanted = set(KINDS)
    if not scene.until(lambda: restarted() == wanted, SECONDS):
        return f"no restart after a failed liveness probe by {', '.join(sorted(wanted - restarted()))}"
    # A container that ends by itself is restarted too.
    missing = wanted - killed()
    return f"restarted, and not for its liveness probe by {', '.join(sorted(missing))}" if missing else ""


CHECK = Look("probe-liveness", "probes", _look, needs=("main", "probed"))
