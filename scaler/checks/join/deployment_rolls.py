"""A Deployment on the node is rolled to a new version: the new pod is Ready before the old one ends."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import Look, Scene

SECONDS = 45.0


def _look(scene: Scene) -> str:
    name = f"rolled-{scene.target.number}"

    def status() -> dict[str, Any]:
        found = [each for each in scene.objects("Deployment") if each["metadata"]["name"] == name]
        return {"wanted": found[0]["metadata"]["generation"], **found[0].get("status", {})} if found else {}

    def done(generation: int) -> bool:
        told = status()
        counts = [told.get(count, 0) for count in ("replicas", "updatedReplicas", "availableReplicas")]
        return told.get("observedGeneration", 0) >= generation and counts == [1, 1, 1]

    if not scene.until(lambda: done(1), SECONDS):
        return f"a Deployment of one pod did not become available within {SECONDS:g} s"
    before = _pods(scene, name)
    scene.call("set", "env", f"deployment/{name}", "VERSION=2")
    if not scene.until(lambda: done(2), SECONDS):
        return f"a Deployment was not rolled to its new version within {SECONDS:g} s"
    if not scene.until(lambda: len(_pods(scene, name)) == 1, SECONDS):
        return f"the old pod of a Deployment that was rolled had not ended after {SECONDS:g} s"
    return "the pod of a Deployment that was rolled is the old one" if _pods(scene, name) == before else ""


def _pods(scene: Scene, name: str) -> set[str]:
    return {
        each["metadata"]["uid"]
        for each in scene.objects("Pod")
        if each["metadata"].get("labels", {}).get("part") == "rolled"
        and each["metadata"]["labels"]["number"] == name.rpartition("-")[2]
    }


CHECK = Look("deployment-rolls", "workloads", _look, needs=("main", "rolled"))
