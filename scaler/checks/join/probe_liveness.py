"""A container whose liveness probe fails is restarted: by exec, tcpSocket and httpGet."""

from __future__ import annotations

from scaler.checks.join import Look, Scene
from scaler.checks.parts.probed import KINDS, told_to_end

SECONDS = 50.0


def _look(scene: Scene) -> str:
    wanted = {f"live-{kind}" for kind in KINDS}

    def missing() -> set[str]:
        return wanted - told_to_end(scene.pod("probed"))

    if scene.until(lambda: not missing(), SECONDS):
        return ""
    return f"not restarted though the liveness probe fails: {', '.join(sorted(missing()))}"


CHECK = Look("probe-liveness", "probes", _look, needs=("main", "probed"))
