"""A pod that asks for a user namespace of its own is not root on the host."""

from __future__ import annotations

from scaler.checks.join import Absent, Look, Scene
from scaler.model import versions

SINCE = (1, 33)


def _look(scene: Scene) -> str | Absent:
    target = scene.target
    if versions.minor(target.facts.version) < SINCE:
        return Absent(f"Kubernetes {target.facts.version} has user namespaces off by default (on from 1.33)")
    if target.own.name not in target.facts.user_namespaces:
        return Absent("the node's runtime tells that it has no user namespaces")
    if why := scene.ready("mapped"):
        return why
    inside, outside, _ = scene.run("mapped", "cat /proc/self/uid_map").split(maxsplit=2)
    return f"root of the pod is user {outside} of the host" if (inside, outside) == ("0", "0") else ""


CHECK = Look("user-namespace", "namespaces", _look, needs=("main", "mapped"))
