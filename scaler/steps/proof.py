"""Prove that work runs on Nodes that join: one pod each, a few checks, and everything cleaned up."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from scaler.checks import join
from scaler.checks.join import Peer, Target
from scaler.checks.parts import LOG_LINE
from scaler.errors import ScalerError
from scaler.gateways.clock import wait_until
from scaler.gateways.threads import Threads
from scaler.steps.proof_space import Space
from scaler.steps.verification_objects import quick_pod, service, space, verification_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.checks.join import Side
    from scaler.model.state import Node
    from scaler.steps.world import AnyWorld, Failures

START_SECONDS = 60.0
PEERS = 3
# Each process of kubectl takes memory.
_NODES_AT_ONCE = 32


def described(image: str) -> str:
    """Tell what a proof will do on each node."""
    names = ", ".join(check.name for check in join.checks() if isinstance(check, join.JoinCheck))
    return f"start a pod of {image} on it in a namespace of the run's own; check logs, {names}"


def proven(world: AnyWorld, names: Sequence[str], peers: Sequence[str], image: str) -> Failures:
    """Start one pod on each of ``names`` and of ``peers``, run all checks, and clean up whatever happens."""
    try:
        return _Proof(world, names, peers, image).run()
    finally:
        clean_up(world)


def clean_up(world: AnyWorld) -> None:
    """Delete the run's namespace, where there is one, and those of the runs with which it goes on."""
    for run in world.runs:
        Space(world.kube, world.clock, verification_namespace(run)).clean_up()


def peers_of(names: Sequence[str], there: Iterable[Node], last: Iterable[str]) -> list[str]:
    """Return up to three old nodes that are Ready, those of ``last`` last: one of them may have died unnoticed."""
    old, behind = [node for node in there if node.name not in names and node.ready], set(last)
    old.sort(key=lambda node: (node.spec.unschedulable, node.name in behind, node.name))
    return [node.name for node in old][:PEERS]


class _Proof:
    """One verification."""

    def __init__(self, world: AnyWorld, names: Sequence[str], peers: Sequence[str], image: str) -> None:
        self._space = Space(world.kube, world.clock, verification_namespace(world.run))
        self._names = names
        self._peers = peers
        self._image = image
        self._peer = ""
        self._pods: dict[str, dict[str, Any]] = {}

    def run(self) -> Failures:
        namespace, kube = self._space.namespace, self._space.kube
        kube.create([space(namespace), service(namespace)])
        self._space.create([quick_pod(namespace, name, self._image) for name in [*self._names, *self._peers]])
        failed = self._wait()
        if self._peers and not self._peer:
            told = "; ".join(f"{name}: {self._reason(name)}" for name in self._peers)
            raise ScalerError(f"no pod starts on any old node to prove the network with: {told}")
        service_ip = kube.get("services", ["verify"], namespace=namespace)[0]["spec"]["clusterIP"]
        good = [name for name in self._names if name not in failed]
        with Threads(min(max(len(good), 1), _NODES_AT_ONCE)) as pool:
            for name, reasons in zip(good, pool.map(lambda n: self._check(n, service_ip), good), strict=True):
                if reasons:
                    failed[name] = "; ".join(reasons)
        return failed

    def _wait(self) -> Failures:
        """Wait for the pods on all new nodes and on one old node."""

        def all_ready() -> bool:
            told = self._space.kube.get("pods", namespace=self._space.namespace)
            self._pods = {pod["spec"]["nodeName"]: pod for pod in told}
            self._peer = next((name for name in self._peers if self._runs(name)), "")
            return all(map(self._runs, self._names)) and bool(self._peer or not self._peers)

        wait_until(self._space.clock, all_ready, timeout=START_SECONDS, every=0.3)
        why = f"pod-starts: not after {START_SECONDS:g} s: "
        return {name: why + self._reason(name) for name in self._names if not self._runs(name)}

    def _runs(self, name: str) -> bool:
        return name in self._pods and join.is_ready(self._pods[name])

    def _reason(self, name: str) -> str:
        pod = self._pods.get(name)
        return self._space.why(pod) if pod else "the pod is gone"

    def _check(self, name: str, service_ip: str) -> list[str]:
        target = Target(self._seen(name), service_ip, (self._seen(self._peer),) if self._peer else ())
        reasons = [] if LOG_LINE in self._log(self._pods[name]) else ["logs-answer: the pod's log is empty"]
        sides: list[tuple[Side, str]] = [("node", name), ("peer", self._peer)]
        for side, where in sides:
            if where:
                wanted = join.lines(join.checks(), side)
                told = join.results(wanted, self._exec(self._pods[where], join.script(wanted, target)), target)
                reasons += [f"{each.check}: {each.reason}" for each in told if each.outcome == "failed"]
        return reasons

    def _seen(self, name: str) -> Peer:
        return Peer(name, self._pods[name]["status"]["podIP"])

    def _log(self, pod: dict[str, Any]) -> str:
        try:
            return self._space.call("logs", pod["metadata"]["name"])
        except ScalerError as e:
            return e.message

    def _exec(self, pod: dict[str, Any], script: str) -> str:
        """Run ``script`` in the pod; what kubectl itself says instead shows as checks without result."""
        try:
            return self._space.run(pod["metadata"]["name"], script)
        except ScalerError as e:
            return f"exec-answers\t1\t{shlex.quote(e.message)}"
