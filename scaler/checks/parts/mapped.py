"""A pod in a user namespace of its own."""

from __future__ import annotations

from typing import Any

from scaler.checks.parts import Part, Place, container, pod, until_told


def _objects(place: Place) -> list[dict[str, Any]]:
    return [pod(place, "mapped", [container(place, "mapped", until_told("true"))], hostUsers=False)]


PART = Part("mapped", _objects, there=lambda facts, node: node in facts.user_namespaces)
