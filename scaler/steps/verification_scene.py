"""What a look may ask of one node's proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.checks.join import is_ready
from scaler.errors import ScalerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scaler.checks.join import Target
    from scaler.gateways.clock import Clock
    from scaler.steps.proof_space import Space
    from scaler.steps.verification_watch import Watch

START_SECONDS = 60.0
_RUN_SECONDS = 120.0


class NodeScene:
    """One node's pods and objects, as the watch tells them, until the proof's time is over."""

    def __init__(self, where: Space, watch: Watch, target: Target, stages: dict[str, float], deadline: float) -> None:
        self.target = target
        self.stages = stages
        self._space = where
        self._watch = watch
        self._deadline = deadline

    @property
    def clock(self) -> Clock:
        """The proof's time."""
        return self._space.clock

    def pod(self, part: str) -> dict[str, Any] | None:
        """Return the node's pod of a part as it was told last, or one by its name."""
        return self._watch.pod(self._name(part))

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return what is in the proof's namespace, by kind, as it was told last."""
        return self._watch.objects(kind)

    def ready(self, part: str) -> str:
        """Wait until the node's pod of a part is Ready; return why it is not."""
        name = self._name(part)

        def runs() -> bool:
            pod = self._watch.pod(name)
            return pod is not None and is_ready(pod)

        if self.until(runs, START_SECONDS):
            return ""
        pod = self._watch.pod(name)
        return f"the pod {name} is not Ready: {self._space.why(pod) if pod else 'it is not there'}"

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look again and again until it holds; tell whether it did in time."""
        return self._watch.until(holds, min(seconds, self._left()))

    def run(self, part: str, script: str, container: str = "") -> str:
        """Run a script in the node's pod of a part; return what it printed."""
        left = self._left()
        if not left:
            raise ScalerError("the time for the proof is over")
        return self._space.run(self._name(part), script, container, timeout=max(1.0, min(_RUN_SECONDS, left)))

    def call(self, *argv: str, stdin: str = "") -> str:
        """Run kubectl in the proof's namespace."""
        return self._space.call(*argv, stdin=stdin)

    def fetch_forwarded(self, part: str, port: int, path: str) -> bytes:
        """Return what a pod's HTTP server answers through kubectl port-forward."""
        return self._space.kube.fetch_forwarded(self._space.namespace, self._name(part), port, path)

    def delete_pod(self, part: str, seconds: float) -> str:
        """Delete the node's pod of a part in order; return why it is not gone in time."""
        name, began = self._name(part), self.clock.monotonic()
        self.call("delete", "pod", name, "--wait=false")
        if not self.until(lambda: self._watch.pod(name) is None, seconds):
            return f"the pod was told to end and is still there after {self.clock.monotonic() - began:.0f} s"
        self.stages["deleted"] = round(self.clock.monotonic() - began, 2)
        return ""

    def _left(self) -> float:
        return max(0.0, self._deadline - self.clock.monotonic())

    def _name(self, part: str) -> str:
        """Return a pod's name: what ends in a number has it already."""
        return part if part[-1].isdigit() else f"{part}-{self.target.number}"
