"""The kubelet and the runtime use the same cgroup driver, so that a container is inside of its pod's control group."""

from __future__ import annotations

import re

from scaler.checks.join import Look, Scene


def misplaced(path: str, pod_uid: str) -> str:
    """Return why a container's control group is not where it belongs; ``path`` as /proc tells it, its ID last."""
    pod, _, container = path.rstrip("/").rpartition("/")
    below = pod.rpartition("/")[2]
    if ":" in container:
        return "the kubelet uses the cgroup driver systemd, the runtime cgroupfs"
    if container.endswith(".scope"):
        wanted = f"pod{pod_uid.replace('-', '_')}.slice"
        return "" if below.endswith(wanted) else "the runtime uses the cgroup driver systemd, the kubelet cgroupfs"
    return "" if below == f"pod{pod_uid}" else "the container is not inside of its pod's control group"


def _look(scene: Scene) -> str:
    pod = scene.pod("main") or {}
    container = re.sub(".*//", "", pod["status"]["containerStatuses"][0]["containerID"])
    if why := scene.ready("host"):
        return why
    told = scene.run("host", f"grep -hs {container} /proc/[0-9]*/cgroup | grep -E '^[0-9]+:(.*memory.*)?:' | head -n 1")
    path = told.strip().rpartition(":/")[2] if ":cri-containerd:" not in told else told.strip().partition(":/")[2]
    if not path:
        return "no process of the container is in a control group of its own"
    why = misplaced(f"/{path}", pod["metadata"]["uid"])
    return f"{why}: /{path}" if why else ""


CHECK = Look("cgroup-driver", "cgroup", _look, needs=("main", "host"))
