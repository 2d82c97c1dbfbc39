"""The namespace that a proof works in, through kubectl: objects made, commands run in pods, everything deleted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scaler.errors import ScalerError
from scaler.gateways.clock import wait_until
from scaler.gateways.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.gateways.clock import Clock
    from scaler.gateways.kube import Kube

# The controller manager of a busy cluster takes its time.
ACCOUNT_SECONDS = 45.0
# kubectl makes some requests a second only, and each of its calls has its time.
_OBJECTS_AT_ONCE = 50


class Space:
    """One namespace of a proof's own."""

    def __init__(self, kube: Kube, clock: Clock, namespace: str) -> None:
        self.kube = kube
        self.clock = clock
        self.namespace = namespace

    def create(self, objects: Sequence[dict[str, Any]]) -> None:
        """Create objects; a new namespace has no service account for a moment, and refuses pods until then."""
        for at in range(0, len(objects), _OBJECTS_AT_ONCE):
            self._create(objects[at : at + _OBJECTS_AT_ONCE])

    def _create(self, objects: Sequence[dict[str, Any]]) -> None:
        said = ""

        def created() -> bool:
            nonlocal said
            try:
                self.kube.create(objects, apply=True)
            except KubeError as e:
                said = e.message
                return False
            return True

        if not wait_until(self.clock, created, timeout=ACCOUNT_SECONDS, every=0.2):
            raise ScalerError(f"the verification pods cannot be created: {said}")

    def call(self, *argv: str, stdin: str = "", timeout: float = 30) -> str:
        """Run kubectl in the namespace; what comes behind ``--`` is the pod's own."""
        words = list(argv)
        at = words.index("--") if "--" in words else len(words)
        return self.kube.call([words[0], "-n", self.namespace, *words[1:at], *words[at:]], stdin=stdin, timeout=timeout)

    def run(self, pod: str, script: str, container: str = "", *, timeout: float = 120) -> str:
        """Run a script in a pod; return what it printed."""
        where = ["-c", container] if container else []
        return self.call("exec", pod, *where, "--", "sh", "-c", script, timeout=timeout)

    def events(self, name: str) -> list[str]:
        """Return what was told about an object, as type, reason and message, the newest last."""
        told = self.call(
            "get",
            "events",
            f"--field-selector=involvedObject.name={name}",
            "--sort-by=.lastTimestamp",
            "-o",
            "jsonpath={range .items[*]}{.type} {.reason}: {.message}{'\\n'}{end}",
        )
        return told.strip().splitlines()

    def why(self, pod: dict[str, Any]) -> str:
        """Return what was told last about a pod that is not Ready, what is wrong before anything else."""
        told: list[str] = []
        with suppress(ScalerError):
            told = self.events(pod["metadata"]["name"])
        wrong = [line for line in told if line.startswith("Warning ")]
        last = (wrong or told or [f" phase {pod.get('status', {}).get('phase')}"])[-1]
        return last.partition(" ")[2]

    def clean_up(self) -> None:
        """Delete the namespace, where there is one."""
        # Forced, since a pod on an old node that has died would keep the namespace for ever.
        self.kube.call(["delete", "pods", "--all", "-n", self.namespace, "--force", "--grace-period=0"])
        self.kube.delete("namespaces", [self.namespace])
