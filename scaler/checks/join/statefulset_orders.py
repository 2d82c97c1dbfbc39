"""A StatefulSet's pods come one after the other, and one that ends comes back under its own name."""

from __future__ import annotations

from scaler.checks.join import Look, Scene, is_ready

SECONDS = 45.0


def _look(scene: Scene) -> str:
    first, second = (f"ordered-{scene.target.number}-{ordinal}" for ordinal in (0, 1))
    early = False

    def first_ready() -> bool:
        nonlocal early
        one, two = scene.pod(first), scene.pod(second)
        ready = one is not None and is_ready(one)
        early = early or (two is not None and not ready)
        return ready

    if not scene.until(first_ready, SECONDS):
        return f"the first pod of a StatefulSet is not Ready after {SECONDS:g} s"
    if early:
        return "the second pod of a StatefulSet was there before the first one was Ready"
    if why := scene.ready(second):
        return f"the second pod of a StatefulSet: {why}"
    for name in (first, second):
        told = scene.run(name, "hostname").strip()
        if told != name:
            return f"pod {name} of a StatefulSet takes itself for {told}"
    before = (scene.pod(first) or {})["metadata"]["uid"]
    scene.call("delete", "pod", first, "--wait=false")

    def back() -> bool:
        found = scene.pod(first)
        return found is not None and found["metadata"]["uid"] != before and is_ready(found)

    if not scene.until(back, SECONDS):
        return f"pod {first} of a StatefulSet ended and was not back after {SECONDS:g} s"
    return ""


CHECK = Look("statefulset-orders", "workloads", _look, needs=("main", "ordered"))
