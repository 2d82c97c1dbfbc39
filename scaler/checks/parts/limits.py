"""A pod with one container that eats more memory than it may, and one that wants more of the processor than it may."""

from __future__ import annotations

from typing import Any

from scaler.checks.parts import Part, Place, container, pod


def _objects(place: Place) -> list[dict[str, Any]]:
    eater = container(
        place,
        "eater",
        "exec dd if=/dev/zero of=/dev/null bs=512M count=1",
        resources={"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
    )
    burner = container(
        place,
        "burner",
        "trap 'exit 0' TERM; while :; do :; done",
        resources={"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "50m", "memory": "64Mi"}},
    )
    return [pod(place, "limits", [eater, burner], restartPolicy="Never")]


PART = Part("limits", _objects)
