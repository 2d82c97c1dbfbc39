from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.checks.join import Facts, Peer, Target, is_ready
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

PEER = Peer("w1", "10.244.0.2", "10.0.0.2", "10.96.0.21", 30021)
TARGET = Target(
    own=Peer("n1", "10.244.1.2", "10.0.0.11", "10.96.0.20", 30020),
    service_ip="10.96.0.99",
    peers=(PEER,),
    affine_ip="10.96.0.98",
    facts=Facts(version="1.20.2", namespace="scaler-verify-r", dns="kube-dns"),
)


class FakeScene:
    """One node's proof: pods and objects that a test sets, and what changes while a look waits.

    ``answers`` says what a script prints in a pod, by part, container and script; ``passes`` is called for each second
    that a look waits.
    """

    def __init__(self, **changes: Any) -> None:
        self.target = TARGET._replace(**changes)
        self.stages: dict[str, float] = {}
        self.clock = FakeClock()
        self.pods: dict[str, dict[str, Any]] = {}
        self.told: dict[str, list[dict[str, Any]]] = {}
        self.answers: Callable[[str, str, str], str] = lambda _part, _container, _script: ""
        self.passes: Callable[[int], None] = lambda _: None
        self.called: list[tuple[str, ...]] = []
        self.forwarded = b""
        self.ends = True

    def add(self, part: str, *, ready: bool = True, containers: dict[str, Any] | None = None, **more: Any) -> None:
        """Let the node's pod of a part be there."""
        statuses = [{"name": name, "restartCount": 0, **told} for name, told in (containers or {}).items()]
        self.pods[self._name(part)] = {
            "kind": "Pod",
            "metadata": {"name": self._name(part), "uid": more.pop("uid", f"uid-{part}"), "labels": {}},
            "status": {
                "podIP": "10.244.1.9",
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": statuses,
                **more,
            },
        }

    def pod(self, part: str) -> dict[str, Any] | None:
        return self.pods.get(self._name(part))

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return list(self.pods.values()) if kind == "Pod" else self.told.get(kind, [])

    def ready(self, part: str) -> str:
        pod = self.pod(part)
        return "" if pod is not None and is_ready(pod) else f"the pod {self._name(part)} is not Ready"

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        for second in range(int(seconds) + 1):
            if holds():
                return True
            self.clock.sleep(1)
            self.passes(second)
        return False

    def run(self, part: str, script: str, container: str = "") -> str:
        return self.answers(part, container, script)

    def call(self, *argv: str, stdin: str = "") -> str:
        del stdin
        self.called.append(argv)
        return self.answers("kubectl", "", " ".join(argv))

    def fetch_forwarded(self, part: str, port: int, path: str) -> bytes:
        del part, port, path
        return self.forwarded

    def delete_pod(self, part: str, seconds: float) -> str:
        if not self.ends:
            return f"the pod was told to end and is still there after {seconds:.0f} s"
        self.pods.pop(self._name(part), None)
        return ""

    def _name(self, part: str) -> str:
        return part if part[-1].isdigit() else f"{part}-{self.target.number}"
