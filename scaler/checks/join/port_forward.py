"""A port of a pod on the node answers through kubectl port-forward."""

from __future__ import annotations

from scaler.checks.join import PORT, Look, Scene


def _look(scene: Scene) -> str:
    told = scene.fetch_forwarded("main", PORT, "/name").decode(errors="replace").strip()
    wanted = f"main-{scene.target.number}"
    return "" if told == wanted else f"{told or 'nothing'} came through the forwarded port, not {wanted}"


CHECK = Look("port-forward", "access", _look)
