"""A volume that is claimed of the default StorageClass is made, attached, mounted and written to."""

from __future__ import annotations

from scaler.checks.join import Absent, Look, Scene


def _look(scene: Scene) -> str | Absent:
    if not scene.target.facts.storage_class:
        return Absent("no default StorageClass in this cluster")
    if why := scene.ready("claimed"):
        return f"a pod with a claim of StorageClass {scene.target.facts.storage_class}: {why}"
    told = scene.run("claimed", "echo here > /claim/it && sync && cat /claim/it").strip()
    return "" if told == "here" else f"the claimed volume cannot be written: {told}"


CHECK = Look("volume-claim", "pod", _look, needs=("main", "claimed"))
