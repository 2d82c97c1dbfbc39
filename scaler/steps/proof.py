"""Prove that work runs on Nodes: the objects of a verification, made, waited for, asked and cleaned up."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from scaler.checks import join
from scaler.errors import ScalerError
from scaler.gateways.clock import wait_until
from scaler.gateways.kube import KubeError
from scaler.gateways.threads import Threads
from scaler.steps.verification_objects import objects, verification_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.model.state import Node
    from scaler.steps.world import AnyWorld, Failures

START_SECONDS = 60.0
ACCOUNT_SECONDS = 15.0
PEERS = 3
LOG_LINE = "scaler-verify-runs"
# kubectl makes some requests a second only, and each of its calls has its time; each of its processes takes memory.
_PODS_AT_ONCE = 50
_NODES_AT_ONCE = 32


def described(image: str) -> str:
    """Tell what a proof will do on each node."""
    names = ", ".join(check.name for check in join.checks())
    return f"start a pod of {image} on it in a namespace of the run's own; check logs, {names}"


def proven(world: AnyWorld, names: Sequence[str], peers: Sequence[str], image: str) -> Failures:
    """Start one pod on each of ``names`` and of ``peers``, run all checks, and clean up whatever happens."""
    try:
        return _Proof(world, names, peers, image).run()
    finally:
        clean_up(world)


def clean_up(world: AnyWorld) -> None:
    """Delete the run's namespace, where there is one."""
    namespace = verification_namespace(world.run)
    # Forced, since a pod on an old node that has died would keep the namespace for ever.
    world.kube.call(["delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0"])
    world.kube.delete("namespaces", [namespace])


def peers_of(names: Sequence[str], there: Iterable[Node], last: Iterable[str]) -> list[str]:
    """Return up to three old nodes that are Ready, those of ``last`` last: one of them may have died unnoticed."""
    old, behind = [node for node in there if node.name not in names and node.ready], set(last)
    old.sort(key=lambda node: (node.spec.unschedulable, node.name in behind, node.name))
    return [node.name for node in old][:PEERS]


class _Proof:
    """One verification."""

    def __init__(self, world: AnyWorld, names: Sequence[str], peers: Sequence[str], image: str) -> None:
        self.namespace = verification_namespace(world.run)
        self._world = world
        self._kube = world.kube
        self._names = names
        self._peers = peers
        self._image = image
        self._peer = ""
        self._pods: dict[str, dict[str, Any]] = {}

    def run(self) -> Failures:
        on = [*self._names, *self._peers]
        namespace, service, pods = objects(self.namespace, on, self._image, LOG_LINE)
        self._kube.create([namespace, service])
        for at in range(0, len(pods), _PODS_AT_ONCE):
            self._create(pods[at : at + _PODS_AT_ONCE])
        failed = self._wait()
        if self._peers and not self._peer:
            told = "; ".join(f"{name}: {self._reason(name)}" for name in self._peers)
            raise ScalerError(f"no pod starts on any old node to prove the network with: {told}")
        service_ip = self._kube.get("services", ["verify"], namespace=self.namespace)[0]["spec"]["clusterIP"]
        good = [name for name in self._names if name not in failed]
        with Threads(min(max(len(good), 1), _NODES_AT_ONCE)) as pool:
            for name, reasons in zip(good, pool.map(lambda n: self._check(n, service_ip), good), strict=True):
                if reasons:
                    failed[name] = "; ".join(reasons)
        return failed

    def _create(self, pods: list[dict[str, Any]]) -> None:
        """Create the pods; a new namespace has no service account for a moment, and refuses them until then."""
        said = ""

        def created() -> bool:
            nonlocal said
            try:
                self._kube.create(pods, apply=True)
            except KubeError as e:
                said = e.message
                return False
            return True

        if not wait_until(self._world.clock, created, timeout=ACCOUNT_SECONDS, every=0.2):
            raise ScalerError(f"the verification pods cannot be created: {said}")

    def _wait(self) -> Failures:
        """Wait for the pods on all new nodes and on one old node."""

        def all_ready() -> bool:
            told = self._kube.get("pods", namespace=self.namespace)
            self._pods = {pod["spec"]["nodeName"]: pod for pod in told}
            self._peer = next((name for name in self._peers if self._runs(name)), "")
            return all(map(self._runs, self._names)) and bool(self._peer or not self._peers)

        wait_until(self._world.clock, all_ready, timeout=START_SECONDS, every=0.3)
        why = f"pod-starts: not after {START_SECONDS:g} s: "
        return {name: why + self._reason(name) for name in self._names if not self._runs(name)}

    def _runs(self, name: str) -> bool:
        return name in self._pods and _ready(self._pods[name])

    def _reason(self, name: str) -> str:
        pod = self._pods.get(name)
        if pod is None:
            return "the pod is gone"
        told = self._kube.call(
            [
                "get",
                "events",
                "-n",
                self.namespace,
                f"--field-selector=involvedObject.name={pod['metadata']['name']}",
                "-o",
                "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}",
            ]
        )
        return (told.strip().splitlines() or [f"phase {pod['status'].get('phase')}"])[-1]

    def _check(self, name: str, service_ip: str) -> list[str]:
        pod = self._pods[name]
        peer_ip = self._pods[self._peer]["status"]["podIP"] if self._peer else ""
        target = join.Target(name, pod["status"]["podIP"], service_ip, self._peer, peer_ip)
        reasons = [] if LOG_LINE in self._log(pod) else ["logs-answer: the pod's log is empty"]
        for side, where in (("node", pod), ("peer", self._pods.get(self._peer))):
            if where is not None:
                script = join.script(side, target)
                reasons += join.failures(self._exec(where, script), target, side)
        return reasons

    def _log(self, pod: dict[str, Any]) -> str:
        try:
            return self._kube.call(["logs", "-n", self.namespace, pod["metadata"]["name"]])
        except ScalerError as e:
            return e.message

    def _exec(self, pod: dict[str, Any], script: str) -> str:
        """Run ``script`` in the pod; what kubectl itself says instead shows as checks without result."""
        argv = ["exec", "-n", self.namespace, pod["metadata"]["name"], "--", "sh", "-c", script]
        try:
            return self._kube.call(argv, timeout=120)
        except ScalerError as e:
            return f"exec-answers\t1\t{shlex.quote(e.message)}"


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
