"""A container that takes more memory than its limit is killed, and its neighbour in the pod is not."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import Look, Scene

SECONDS = 40.0
# 128 and the number of SIGKILL.
KILLED = 137


def _look(scene: Scene) -> str:
    if not scene.until(lambda: "terminated" in _state(scene, "eater"), SECONDS):
        return f"a container with a limit of 32 MiB that takes 512 MiB was not killed within {SECONDS:g} s"
    ended = _state(scene, "eater")["terminated"]
    # containerd may hear of the end before the reason, and then says "Error" (its issue 8180). The signal is the
    # kernel's all the same: nobody else kills this container.
    if ended.get("reason") != "OOMKilled" and ended["exitCode"] != KILLED:
        return f"a container took more memory than its limit and ended with {ended.get('reason')} {ended['exitCode']}"
    if "running" not in _state(scene, "burner"):
        return "another container of the pod ended with it"
    return ""


def _state(scene: Scene, name: str) -> dict[str, Any]:
    statuses = (scene.pod("limits") or {}).get("status", {}).get("containerStatuses", ())
    return next((dict(each["state"]) for each in statuses if each["name"] == name), {})


CHECK = Look("oom-kill", "cgroup", _look, needs=("main", "limits"))
