"""What is in a proof's namespace, looked at again and again, by whoever of many waits; and when pods came how far."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from scaler.checks.join import is_ready
from scaler.gateways.clock import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scaler.steps.proof_space import Space

_PODS = "pods"
_ALL = "pods,endpointslices.discovery.k8s.io,deployments.apps"


class Watch:
    """The last look at one namespace; all that wait share it, so that many cost no more requests than one."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._guard = threading.Lock()
        self._kinds, self._every = _PODS, 0.3
        self._at = float("-inf")
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}
        self._stages: dict[str, dict[str, float]] = {}

    def widen(self) -> None:
        """Look at more than pods from now on, and less often."""
        self._kinds, self._every = _ALL, 1.0

    def refresh(self) -> None:
        """Look again, unless somebody has just looked."""
        with self._guard:
            if self._space.clock.monotonic() - self._at < self._every:
                return
            kinds = self._kinds
            told = self._space.kube.get(kinds, namespace=self._space.namespace)
            self._at = self._space.clock.monotonic()
            self._seen = {(each["kind"], each["metadata"]["name"]): each for each in told}
            for pod in self.objects("Pod"):
                stages = self._stages.setdefault(pod["metadata"]["name"], {})
                for stage in _stages(pod):
                    stages.setdefault(stage, self._at)

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look until it holds; tell whether it did in time."""

        def seen() -> bool:
            self.refresh()
            return holds()

        return wait_until(self._space.clock, seen, timeout=seconds, every=0.3)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return what was told last, by kind."""
        return [told for (k, _), told in self._seen.items() if k == kind]

    def pod(self, name: str) -> dict[str, Any] | None:
        """Return a pod as it was told last."""
        return self._seen.get(("Pod", name))

    def stages(self, name: str) -> Mapping[str, float]:
        """Return when a pod was first seen to have come to each stage."""
        return self._stages.get(name, {})


def _stages(pod: dict[str, Any]) -> list[str]:
    """Return the stages of its life that a pod has come to."""
    status = pod.get("status", {})
    conditions = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
    containers = status.get("containerStatuses", [])
    come = {
        "stored": True,
        "scheduled": bool(pod["spec"].get("nodeName")),
        # The condition is told since 1.29; before, the address is the first that is heard of the sandbox.
        "sandbox": "PodReadyToStartContainers" in conditions or bool(status.get("podIP")),
        "started": any("running" in each.get("state", {}) for each in containers),
        "ready": is_ready(pod),
    }
    return [stage for stage, there in come.items() if there]
