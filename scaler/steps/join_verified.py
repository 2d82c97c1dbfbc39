"""Prove that work runs on what joined: pods start there, logs and exec answer, Services and other nodes are reached."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from scaler.checks import join
from scaler.errors import ScalerError
from scaler.gateways.clock import wait_until
from scaler.gateways.kube import KubeError, nodes
from scaler.gateways.threads import Threads
from scaler.steps.verification_objects import objects, verification_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

START_SECONDS = 60.0
ACCOUNT_SECONDS = 15.0
PEERS = 3
LOG_LINE = "scaler-verify-runs"


class JoinVerified:
    """Each node has run a pod that answered every check."""

    title = "Prove that work runs"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan
        names = ", ".join(check.name for check in join.checks())
        return [f"start a pod of {settings.verify_image} on it in a namespace of the run's own; check logs, {names}"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Start one pod a node and some on old nodes, run all checks, and clean up whatever happens."""
        names = [host.name for host in hosts]
        proof = _Proof(world, names, _peers(world, names))
        try:
            return proof.run()
        finally:
            _clean_up(world)

    def undo(self, world: World, host: Host) -> None:
        """Delete the run's namespace, which a run that was killed leaves behind."""
        del host
        _clean_up(world)


def _clean_up(world: World) -> None:
    namespace = verification_namespace(world.run)
    # Forced, since a pod on an old node that has died would keep the namespace for ever.
    world.kube.call(["delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0"])
    world.kube.delete("namespaces", [namespace])


def _peers(world: World, names: list[str]) -> list[str]:
    """Return up to three old nodes that are Ready, workers before masters: one of them may have died unnoticed."""
    old = [n for n in nodes(world.kube) if n.name not in names and n.ready]
    masters = {host.name for host in world.cluster.masters}
    old.sort(key=lambda n: (n.spec.unschedulable, n.name in masters, n.name))
    return [n.name for n in old][:PEERS]


class _Proof:
    """One verification."""

    def __init__(self, world: World, names: list[str], peers: list[str]) -> None:
        self.namespace = verification_namespace(world.run)
        self._world = world
        self._kube = world.kube
        self._names = names
        self._peers = peers
        self._peer = ""
        self._pods: dict[str, dict[str, Any]] = {}

    def run(self) -> Failures:
        on = [*self._names, *self._peers]
        namespace, service, pods = objects(self.namespace, on, self._world.cluster.settings, LOG_LINE)
        self._kube.create([namespace, service])
        self._create(pods)
        failed = self._wait()
        if self._peers and not self._peer:
            told = "; ".join(f"{name}: {self._reason(name)}" for name in self._peers)
            raise ScalerError(f"no pod starts on any old node to prove the network with: {told}")
        service_ip = self._kube.get("services", ["verify"], namespace=self.namespace)[0]["spec"]["clusterIP"]
        good = [name for name in self._names if name not in failed]
        with Threads(max(len(good), 1)) as pool:
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


STEP = JoinVerified()
